// SPDX-License-Identifier: MIT
//
// Helpers for the elements of the document.

/**
 * Changes a text, or an attribute ("" removes it), only when it differs, so
 * that a screen reader does not announce the same text again.
 *
 * @param {Element} element
 * @param {string} value
 * @param {string} [attribute]
 */
export function set(element, value, attribute) {
  if (attribute === undefined) {
    if (element.textContent !== value)
      element.textContent = value;
  } else if (value === "") {
    element.removeAttribute(attribute);
  } else if (element.getAttribute(attribute) !== value) {
    element.setAttribute(attribute, value);
  }
}

/**
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [type]
 * @returns {T}
 */
export function get(id, type) {
  const element = document.getElementById(id);

  if (!(element instanceof (type ?? HTMLElement)))
    throw new Error(`the page has no ${id}`);
  return /** @type {any} */ (element);
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} className
 * @param {...(string | Node)} content
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, className, ...content) {
  const element = document.createElement(tag);

  element.className = className;
  element.append(...content);
  return element;
}
