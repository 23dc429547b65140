// Keys of the reader study. A key presses the button of class reader-key-KEY, so that keyboard and
// mouse do the same thing and arrive in the order in which they were pressed.
(() => {
  if (window.readerStudyKeys) return;
  window.readerStudyKeys = true;
  const PATIENCE = 8000; // ms without an answer before the reader is told
  let asked = null; // state of the form when Next was pressed; no key counts until it changes
  let timer = 0;
  let screen = null; // what the form shows: the question for the reader's code, or an image

  const form = () => document.querySelector(".reader-study");
  const state = () => form()?.querySelector(".reader-state")?.dataset.state ?? null;
  const commentOf = (root) => root.querySelector(".reader-comment input");

  function release() {
    asked = null;
    clearTimeout(timer);
    form()?.classList.remove("reader-waiting", "reader-lost");
  }

  function wait() {
    asked = state();
    form().classList.add("reader-waiting");
    clearTimeout(timer);
    timer = setTimeout(() => form()?.classList.add("reader-lost"), PATIENCE);
  }

  // Whatever the server has changed: keep the focus in the form, and say what is pressed.
  function follow() {
    const root = form();
    if (!root) return;
    if (asked !== null && asked !== state()) release();
    root.querySelectorAll(".reader-choice").forEach((group) => {
      const question = group.querySelector(".reader-question");
      if (!question || group.hasAttribute("aria-label")) return;
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", question.textContent);
    });
    root.querySelectorAll(".reader-choice button").forEach((button) => {
      const pressed = String(button.classList.contains("mod-info"));
      if (button.getAttribute("aria-pressed") !== pressed) {
        button.setAttribute("aria-pressed", pressed);
      }
    });
    root.querySelectorAll("input[title]:not([aria-label])").forEach((input) => {
      input.setAttribute("aria-label", input.title);
    });
    const now = root.querySelector(".reader-name input, .reader-choice");
    if (now && now !== screen) {
      screen = now;
      root.setAttribute("tabindex", "-1");
      (now.tagName === "INPUT" ? now : root).focus({ preventScroll: true });
    }
  }

  function press(root, name) {
    const button = root.querySelector(`.reader-key-${name}`);
    if (!button) return false;
    button.click();
    return true;
  }

  function onKey(event) {
    const root = form();
    const here = document.activeElement;
    const inside = root?.contains(here);
    if (!root || !(inside || here === document.body || here === null)) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = inside && here.tagName === "INPUT";
    const key = event.key.toLowerCase();
    let taken = false;
    if (asked !== null) {
      taken = !typing && key !== "tab";
    } else if (key === "enter") {
      if (typing) here.blur(); // the text is sent before the button is pressed
      taken = press(root, "enter");
      root.focus({ preventScroll: true });
    } else if (typing) {
      if (key === "escape") root.focus({ preventScroll: true });
      taken = key === "escape";
    } else if (key === "c" && commentOf(root)) {
      commentOf(root).focus();
      taken = true;
    } else if (/^[a-z0-9]$/.test(key)) {
      taken = !event.repeat && press(root, key);
    }
    if (taken) event.preventDefault();
    // Elsewhere in Jupyter these keys cut, run and turn cells.
    if (taken || inside) event.stopImmediatePropagation();
  }

  // On window, before the page's own handlers see the key.
  window.addEventListener("keydown", onKey, true);
  document.addEventListener("click", (event) => {
    const root = form();
    if (!root?.contains(event.target)) return;
    const button = event.target.closest("button");
    if (button?.classList.contains("reader-key-enter")) wait();
    if (!button && event.target.tagName !== "INPUT") root.focus({ preventScroll: true });
  });
  new MutationObserver(follow).observe(document.body, {
    subtree: true, childList: true, attributes: true, attributeFilter: ["class", "data-state"],
  });
  follow();
})();
