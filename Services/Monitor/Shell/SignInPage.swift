import MonitorCore

/// The page that asks for a key, once keys are required, and shows other pages with this key. It
/// contains no data of the cluster.
///
/// The browser keeps the key in the session storage of this tab, and sends it as a header. A cookie
/// would also be sent with requests from pages of other sites, and a URL ends up in logs and
/// histories. The page to show is the part of the URL after `#`, which browsers do not send.
enum SignInPage {
  static let scriptPath = "/page.js"
  /// Path of the overview, which the script requests with the key.
  static let overviewPath = "/overview"

  /// Allows this server's script, its requests to this server, and inline styles.
  static let contentSecurityPolicy =
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'unsafe-inline'; "
    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

  // The input has no name. So a browser that does not run the script does not put the key into the
  // URL.
  static let html = """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Tutti</title>
    <style>
    \(OverviewPage.style)
    pre { white-space: pre-wrap; overflow-wrap: anywhere }
    </style>
    <script src="\(scriptPath)" defer></script>
    </head>
    <body>
    <nav><a href="#/overview">Overview</a> · <a href="#/requests">Requests</a> ·
    <a href="#/usage">Usage</a> · <a href="#/logs?limit=100">Logs</a> ·
    <a href="#/metrics">Metrics</a></nav>
    <form id="sign-in" hidden>
    <p>This cluster requires a key. It is kept until the tab is closed.</p>
    <label>Key <input id="key" type="password" autocomplete="off" spellcheck="false" size="64">
    </label> <button>Show</button>
    </form>
    <p id="problem" class="wrong"></p>
    <main id="shown"></main>
    <noscript><p>The page needs JavaScript to send the key. Programs send it in the header
    <code>Authorization: Bearer KEY</code>.</p></noscript>
    </body>
    </html>

    """

  /// The script inserts texts of answers as text nodes. It parses an overview without running
  /// scripts in it, and the content security policy forbids inline scripts.
  static let script = #"""
    "use strict";
    const storageName = "tutti-key";
    const find = (id) => document.getElementById(id);
    let latest = 0;

    // A link may lead here from anywhere. The key goes to this server only.
    function place() {
      const standard = new URL("/overview", location.origin);
      try {
        const url = new URL(location.hash.slice(1) || standard, location.origin);
        return url.origin === location.origin ? url : standard;
      } catch {
        return standard;
      }
    }

    async function show() {
      const turn = ++latest;
      const key = sessionStorage.getItem(storageName);
      let answer, text;
      try {
        answer = await fetch(place(), {
          headers: key ? { authorization: "Bearer " + key } : {},
          cache: "no-store", credentials: "omit", redirect: "error",
        });
        text = await answer.text();
      } catch (error) {
        if (turn !== latest) return;
        find("sign-in").hidden = false;
        fill("The monitor does not answer: " + error.message, []);
        return;
      }
      if (turn !== latest) return;
      find("sign-in").hidden = ![401, 403].includes(answer.status);
      if (!answer.ok) {
        if (answer.status === 401) sessionStorage.removeItem(storageName);
        fill(key || answer.status !== 401 ? message(text) : "", []);
      } else if ((answer.headers.get("content-type") || "").startsWith("text/html")) {
        const page = new DOMParser().parseFromString(text, "text/html");
        for (const link of page.querySelectorAll("a[href^='/']")) {
          link.setAttribute("href", "#" + link.getAttribute("href"));
        }
        fill("", [...page.body.childNodes]);
      } else {
        const block = document.createElement("pre");
        block.textContent = readable(text);
        fill("", [block]);
      }
    }

    function fill(problem, nodes) {
      find("problem").textContent = problem;
      find("shown").replaceChildren(...nodes);
    }

    function message(text) {
      try { return JSON.parse(text).error.message; } catch { return text; }
    }

    function readable(text) {
      try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
    }

    find("sign-in").addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(storageName, find("key").value.trim());
      find("key").value = "";
      show();
    });
    addEventListener("hashchange", show);
    show();

    """#
}
