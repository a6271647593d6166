// What HTML cannot do alone: passkeys, the token in a link's fragment, and the keyboard. Every page works without it,
// save for passkeys. No inline code, no eval: this file and htmx are all that runs.
"use strict";

(() => {
  const headers = (form) => ({
    Accept: "application/problem+json, application/json;q=0.9",
    "X-CSRF-Token": form.elements._token ? form.elements._token.value : "",
  });

  // --- passkeys: <form data-passkey="create|get" data-options="URL"> with a hidden field `response` ------------------
  async function ceremony(form) {
    const asked = await fetch(form.dataset.options, { method: "POST", headers: headers(form) });
    if ((asked.headers.get("Content-Type") || "").includes("problem")) {
      const problem = await asked.json();
      say(form, `${problem.detail} ${problem.next_step || ""}`);
      return null;
    }
    if (asked.redirected || !asked.ok || !(asked.headers.get("Content-Type") || "").includes("json")) {
      location.assign(asked.redirected ? asked.url : location.href);
      return null;
    }
    const options = await asked.json();
    return form.dataset.passkey === "create"
      ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
      : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  }

  function say(form, text) {
    const place = form.querySelector("[data-says]");
    if (place) { place.textContent = text; place.hidden = !text; }
  }

  async function withPasskey(event) {
    const form = event.target;
    if (!form.dataset.passkey || form.elements.response.value) return;
    event.preventDefault();
    say(form, "");
    try {
      if (!window.PublicKeyCredential || !PublicKeyCredential.parseRequestOptionsFromJSON) {
        throw new Error("this browser knows no passkeys, or does not trust this server's certificate");
      }
      const made = await ceremony(form);
      if (!made) return;
      form.elements.response.value = JSON.stringify(made.toJSON());
      form.submit();
    } catch (error) {
      say(form, `No passkey was used: ${error.message}`);
    }
  }

  // --- the one-time link: its token is behind the #, which no server ever sees in a request line ----------------------
  function useLink() {
    const form = document.querySelector("form[data-link]");
    if (!form || location.hash.length < 20) return;
    form.elements.link.value = location.hash;
    history.replaceState(null, "", location.pathname);
    form.submit();
  }

  // --- the keyboard: / search, j k up and down, Enter opens, x selects, ? help ----------------------------------------
  const rows = () => [...document.querySelectorAll("tr[data-row]")];

  function move(step) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("here"));
    const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    if (at >= 0) all[at].classList.remove("here");
    next.classList.add("here");
    const link = next.querySelector("a");
    if (link) link.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  const KEYS = {
    "/": () => { const box = document.querySelector("[data-search]"); if (box) { box.focus(); box.select(); } },
    j: () => move(1),
    k: () => move(-1),
    x: () => { const box = document.querySelector("tr.here input[type=checkbox]"); if (box) box.click(); },
    "?": () => { const help = document.getElementById("keys"); if (help) help.showModal(); },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (typing && event.key === "Escape") event.target.blur();
    if (typing || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });

  // --- small things ---------------------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) {
      navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent).then(() => {
        button.textContent = "Copied";
      });
    }
    const all = event.target.closest("[data-all]");
    if (all) document.querySelectorAll(`input[name="${all.dataset.all}"]`).forEach((box) => { box.checked = all.checked; });
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  });
  document.addEventListener("submit", withPasskey);
  useLink();
})();
