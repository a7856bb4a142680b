"use strict";
// The page is asked for again and its content put in place: what it shows was escaped where it was made.
(function () {
  function read() {
    fetch(location.href, { cache: "no-store" })
      .then(function (answer) {
        if (!answer.ok) { throw new Error(String(answer.status)); }
        return answer.text();
      })
      .then(function (text) {
        var fresh = new DOMParser().parseFromString(text, "text/html").getElementById("main");
        var here = document.getElementById("main");
        // A link that is being read or tabbed to is not taken away.
        if (!here.contains(document.activeElement) || document.activeElement.tagName !== "A") {
          here.replaceWith(document.adoptNode(fresh));
        }
      })
      .catch(function () {
        document.getElementById("now").textContent = "The server does not answer any more.";
      })
      .finally(function () { setTimeout(read, 2000); });
  }
  setTimeout(read, 2000);
})();
