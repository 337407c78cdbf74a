/* Stands in the pages. It takes calls until the client has come, inserts the client's script, and
   says so when that script does not run. The server writes the arguments behind this function. No
   "<" and no "&" is in the code, so that it can stand in pages of XML, too. */
(function (key, endpoint, source) {
  var ap3c = window.ap3c = Object(window.ap3c);
  var script = document.createElement("script");

  // The client is there already, or another copy of this snippet is.
  if (ap3c.debug) {
    ap3c.init(key, endpoint);
    return;
  }

  ap3c.cmd = Array.isArray(ap3c.cmd) ? ap3c.cmd : [];
  ["init", "track", "activity", "clearSession", "consent", "debug"].forEach(function (name) {
    ap3c[name] = function () {
      var given = arguments;
      return new Promise(function (done) {
        // By then `window.ap3c` may be another object.
        ap3c.cmd.push(function () { done(window.ap3c[name].apply(null, given)); });
      });
    };
  });

  // A page may demand that a policy vouches for each address of a script.
  function vouched(address) {
    try {
      var policy = window.trustedTypes.createPolicy("ap3c", {createScriptURL: String});
      return policy.createScriptURL(address);
    } catch (error) {
      // The browser knows no such policies, or the page permits none of this name.
      return address;
    }
  }

  // In Firefox and WebKit the script fails also when the page is left early, about which there is
  // nothing to say. Such a page has no "load" event.
  var finished = new Promise(function (done) {
    if (document.readyState === "complete") done();
    else addEventListener("load", done);
  });

  function tell(on) {
    if (on) console.warn("ap3c: " + (script.src || source) + " did not load. Is the capture app " +
      "mounted there? A content blocker or the page's policy may also have stopped it.");
  }

  // An address that answers with a page instead of the script "loads" as well.
  script.onload = script.onerror = function () {
    if (Object(window.ap3c).loaded) return;
    ap3c.debug = tell;
    finished.then(tell.bind(null, true));
  };

  script.async = true;
  script.nonce = Object(document.currentScript).nonce || "";
  try {
    script.src = vouched(source);
    (document.head || document.documentElement).appendChild(script);
  } catch (error) {
    script.onerror();
  }
  ap3c.init(key, endpoint);
})
