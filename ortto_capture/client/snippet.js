/* Stands in the pages, before the tag of the client's script. It takes calls until the client has
   come, and says so when it has not. The server writes the arguments behind this function. No "<"
   and no "&" is in the code, so that it can stand in pages of XML, too. */
(function (key, endpoint, source, options) {
  var ap3c = window.ap3c = Object(window.ap3c);

  // The client is there already, or another copy of this code is.
  if (ap3c.debug) {
    ap3c.init(key, endpoint, options);
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

  function tell(on) {
    if (on) console.warn("ap3c: " + source + " did not load. Is the capture app mounted there? " +
      "A content blocker or the page's policy may also have stopped it.");
  }

  // The event waits until the script has come or failed. A page that is left early has no such
  // event, and one that is complete already has had it: about both there is nothing to say.
  if (document.readyState !== "complete") addEventListener("load", function () {
    if (Object(window.ap3c).loaded) return;
    ap3c.debug = tell;
    tell(true);
  });

  ap3c.init(key, endpoint, options);
})
