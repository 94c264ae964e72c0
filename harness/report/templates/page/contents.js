// Contents: the link of what is being read is marked; on a narrow screen the list starts closed.
(() => {
  "use strict";
  const contents = document.querySelector(".contents > details");
  if (matchMedia("(max-width: 899px)").matches) contents.open = false;

  const links = new Map([...contents.querySelectorAll("a")].map(link => [link.hash.slice(1), link]));
  const inView = new Set();
  const mark = () => {
    for (const link of links.values()) link.removeAttribute("aria-current");
    const [section] = [...inView].filter(node => node.tagName === "SECTION");
    const [article] = [...inView].filter(node => node.tagName !== "SECTION");
    for (const node of [section, article]) if (node) links.get(node.id).setAttribute("aria-current", "true");
  };
  const reading = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) inView[isIntersecting ? "add" : "delete"](target);
    mark();
  }, { rootMargin: "-15% 0px -80% 0px" });
  for (const node of document.querySelectorAll("main section, main article.part")) {
    if (links.has(node.id)) reading.observe(node);
  }
})();
