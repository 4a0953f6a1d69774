// Elements, files and the clipboard. Text is set as text, never parsed as HTML: names in a page may hold anything.

const pageData = JSON.parse(document.getElementById("page-data").textContent);

/** A new HTML element. Attributes whose value is a function are listeners ("onclick"); null and false leave one out. */
function element(tag, attributes = {}, ...children) {
  return furnished(document.createElement(tag), attributes, children);
}

/** A new SVG element; see `element`. */
function svgElement(tag, attributes = {}, ...children) {
  return furnished(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function furnished(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

/** A check box with its label. */
function checkBox(label, checked, change, attributes = {}) {
  const box = element("input", { type: "checkbox", ...attributes, onchange: () => change(box.checked) });
  box.checked = checked;
  return element("label", { class: "choice" }, box, label);
}

/** A list to choose from; `options`: [value, label] pairs. */
function choiceList(label, options, value, change, attributes = {}) {
  const list = element("select", { "aria-label": label, ...attributes, onchange: () => change(list.value) },
    options.map(([key, text]) => element("option", { value: key }, text)));
  list.value = value;
  return list;
}

/** Copies text and says so on the button for a moment. */
async function copyText(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Older browsers, and pages that are not served securely.
    const area = element("textarea", { class: "off-screen" }, text);
    (button.closest("dialog") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 1200);
}

/** Offers text as a file to download. */
function saveFile(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** The text that `packed` (web_page.py) put into the element of that id. */
function unpackedText(id) {
  return unpackedWords(document.getElementById(id).textContent);
}

/** The text that `packed` gave. */
async function unpackedWords(words) {
  const letters = atob(words);
  const bytes = Uint8Array.from(letters, letter => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

/** Calls `action` once things have been quiet for some milliseconds. */
function whenQuiet(action, milliseconds = 120) {
  let timer = 0;
  return (...values) => { clearTimeout(timer); timer = setTimeout(() => action(...values), milliseconds); };
}
