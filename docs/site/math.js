// Formulas: pymdownx leaves them as \(...\) in a sentence and \[...\] on lines of their own.
for (const element of document.querySelectorAll(".arithmatex")) {
  const tex = element.textContent.trim();
  katex.render(tex.slice(2, -2), element, { displayMode: tex.startsWith("\\["), throwOnError: false });
}
