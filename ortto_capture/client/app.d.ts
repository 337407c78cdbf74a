/** The browser client of ortto_capture: the global `ap3c`. */
declare namespace Ap3c {
  interface Options {
    /** Domains over which the session is shared, such as ".shop.example". */
    cookieDomains?: string[];
    /** false: nothing is stored or sent before `ap3c.consent(true)`. */
    consent?: boolean;
    /** Who the visitor is: an identity token, or "host": the host is asked who is signed in. */
    identity?: string;
  }

  interface Fields {
    v?: 0;
    email?: string;
    /** External id. */
    ei?: string | number;
    first?: string;
    last?: string;
    /** Custom fields as further identifiers. */
    ac?: { fi: string; v: string | number }[];
    skipNonExisting?: boolean;
    /** A signed identity token, made by the host; or "host", and the host is asked for one. */
    identity?: string;
    [other: string]: unknown;
  }

  interface Activity {
    activity_id: string;
    attributes?: Record<string, unknown> | null;
    /** Up to 64 of A-Z a-z 0-9 _ -; what is stored under it once is not stored again. */
    event_id?: string;
  }

  interface Outcome {
    /** Stored, or answered by `track`. */
    ok: boolean;
    /** The HTTP status; 0 without an answer, absent when nothing was sent. */
    status?: number;
    code?: string;
    /** Of `track`: whether a person is identified. */
    identified?: boolean;
    /** It was stored before. */
    duplicate?: boolean;
    /** Not delivered yet: kept, and sent again. */
    queued?: boolean;
    /** Seconds that the server asks to wait. */
    wait?: number;
  }

  type Callback = (outcome: Outcome) => void;

  interface Client {
    init(key: string, endpoint: string, options?: Options): void;
    track(fields: Fields, callback?: Callback): Promise<Outcome>;
    activity(activity: Activity, callback?: Callback): Promise<Outcome>;
    getCookie(): string | null;
    clearSession(): void;
    consent(given: boolean): void;
    debug(on: boolean): void;
    lastVar?: Fields;
    loaded?: boolean;
    /** Takes up what the page, or a second code on it, has put into `cmd` and `act`. */
    load?(): void;
    cmd: { push(...commands: (() => void)[]): void };
    act: { push(...activities: Activity[]): void };
  }
}

declare const ap3c: Ap3c.Client;

interface Window {
  ap3c: Ap3c.Client;
}
