// Added to pages by `igsite serve`: loads the page again when the site was built anew, and shows what is wrong meanwhile.
// It asks for news by loading a script, since the pages' policy forbids connections.
"use strict";

const igsiteServe = (() => {
  const site = new URL(document.currentScript.src).search.slice(1);
  const page = document.body.className === "igsite-serve-page";
  let note = null, last = null;

  function ask(seen) {
    if (document.hidden) {
      document.addEventListener("visibilitychange", () => ask(seen), { once: true });
      return;
    }
    const script = document.createElement("script");
    script.src = `/__igsite/news.js?${seen}`;
    script.onload = () => script.remove();
    script.onerror = () => {
      script.remove();
      setTimeout(ask, 1000, 0);
    };
    document.head.append(script);
  }

  function show(error) {
    if (error === last) return;
    last = error;
    note?.remove();
    note = null;
    if (error === null) return;
    if (page) {
      document.querySelector("h1").textContent = document.title = "The build failed";
      const text = document.createElement("pre");
      text.textContent = error;
      document.querySelector("main").replaceChildren(document.querySelector("h1"), text);
      return;
    }
    note = document.createElement("section");
    note.id = "igsite-serve";
    note.setAttribute("role", "alert");
    const heading = document.createElement("h2"), text = document.createElement("pre"), hide = document.createElement("button");
    heading.textContent = "The build failed; this is the last site that could be built";
    text.textContent = error;
    hide.type = "button";
    hide.textContent = "Hide";
    hide.addEventListener("click", () => note.remove());
    note.append(heading, text, hide);
    document.body.append(note);
  }

  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = "/__igsite/serve.css";
  document.head.append(style);
  // Later than the page's own files: a script that is waited for must not keep it from being loaded.
  if (document.readyState === "complete") ask(0);
  else addEventListener("load", () => ask(0));

  return (news) => {
    if (news.site !== site) {
      location.reload();
      return;
    }
    show(news.error);
    ask(news.number);
  };
})();
