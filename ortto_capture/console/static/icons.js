// @ts-check
/**
 * The shapes that an activity may have beside its name.
 *
 * The law of this file: each is one path of at most a few strokes on 16 × 16; a name that is not
 * here is kept as it is, and drawn as a dot.
 */
import { s } from "./core.js";

/** @type {Readonly<Record<string, string>>} */
export const ICONS = {
  key: "M5.5 13.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM7.7 8.3l6-6M11 5l2 2",
  person: "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 14c.5-5 10.5-5 11 0",
  cart: "M1.5 2.5h2l1.5 8h7l1.5-6H4M6 13.5h.1M11.5 13.5h.1",
  card: "M1.5 3.5h13v9h-13zM1.5 6.5h13M4 10h3",
  eye: "M1.5 8c3-5.5 10-5.5 13 0-3 5.5-10 5.5-13 0zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  page: "M3.5 1.5h6l3 3v10h-9zM9 2v3h3M6 8.5h4M6 11h4",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM10.5 10.5l4 4",
  mail: "M1.5 3.5h13v9h-13zM2 4l6 5 6-5",
  chat: "M2 2.5h12v8H7l-3 3v-3H2z",
  star: "M8 1.5l2 4.3 4.7.6-3.4 3.2.9 4.6L8 12l-4.2 2.2.9-4.6L1.3 6.4 6 5.8z",
  flag: "M3.5 14.5v-13M3.5 2.5h9l-2 3 2 3h-9",
  tag: "M1.5 1.5h6l7 7-6 6-7-7zM4.8 4.8h.1",
  play: "M4 2.5v11l9-5.5z",
  download: "M8 1.5v8M4.5 6.5L8 10l3.5-3.5M2.5 13.5h11",
  upload: "M8 10.5v-8M4.5 5.5L8 2l3.5 3.5M2.5 13.5h11",
  heart: "M8 13.5C-2 7 4.5 0 8 4.5 11.5 0 18 7 8 13.5z"
};

/** @param {string | null | undefined} name */
export const icon = (name) =>
  s("svg.icon", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" },
    s("path", { d: (name && ICONS[name]) || "M8 9.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z" }));
