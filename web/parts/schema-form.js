// A form out of a tool's JSON Schema: the kinds that tools really use, and JSON for the rest.

import { h } from "./dom.js";
import { field, select } from "./dialog.js";

const typeOf = schema => {
  const types = [schema.type].flat().filter(type => type && type !== "null");
  if (!types.length && schema.anyOf) return typeOf(schema.anyOf.find(one => one.type !== "null") ?? {});
  return types.length === 1 ? types[0] : null;
};
const enumOf = schema => schema.enum ?? schema.anyOf?.find(one => one.enum)?.enum;

/** `{element, read()}`; `read` throws a sentence about what is missing or wrong. */
export function schemaForm(schema) {
  const required = new Set(schema?.required ?? []);
  const parts = Object.entries(schema?.properties ?? {}).map(([name, one]) => input(name, one, required.has(name)));
  const element = h("div", { class: "stack" }, parts.length ? parts.map(one => one.row) : h("p", { class: "hint" }, "This tool takes no arguments."));
  return {
    element,
    read() {
      const values = {};
      for (const one of parts) {
        const value = one.read();
        if (value !== undefined) values[one.name] = value;
        else if (one.isRequired) { one.control.focus(); throw new Error(`${one.name} is missing.`); }
      }
      return values;
    },
  };
}

function input(name, schema, isRequired) {
  const type = typeOf(schema), words = enumOf(schema);
  const hint = [schema.description, schema.default !== undefined && schema.default !== null ? `${JSON.stringify(schema.default)} without it.` : ""].filter(Boolean).join(" ");
  const label = h("span", null, name, isRequired ? h("span", { class: "muted" }, " (required)") : "");
  const wrong = what => { control.focus(); throw new Error(`${name}: ${what}`); };
  let control, read;
  if (words) {
    control = select([...(isRequired ? [] : [["", "–"]]), ...words.map(word => [word, String(word)])], schema.default ?? (isRequired ? words[0] : ""));
    read = () => control.value === "" ? undefined : words.find(word => String(word) === control.value);
  } else if (type === "boolean") {
    control = select([["", "–"], ["true", "yes"], ["false", "no"]], schema.default === undefined ? (isRequired ? "false" : "") : String(schema.default));
    read = () => control.value === "" ? undefined : control.value === "true";
  } else if (type === "integer" || type === "number") {
    control = h("input", { type: "number", step: type === "integer" ? 1 : "any", min: schema.minimum, max: schema.maximum, value: schema.default ?? "" });
    read = () => {
      if (control.value === "") return control.validity.badInput ? wrong("is not a number.") : undefined;
      return control.validity.valid ? Number(control.value) : wrong(control.validationMessage);
    };
  } else if (type === "string") {
    const isLong = (schema.maxLength ?? 0) > 200 || /text|content|body|query|code|message/i.test(name);
    control = isLong ? h("textarea", { rows: 3, value: schema.default ?? "" }) : h("input", { type: "text", value: schema.default ?? "", spellcheck: "false" });
    read = () => control.value === "" && !isRequired ? undefined : control.value;
  } else {
    control = h("textarea", { rows: 3, placeholder: type === "array" ? "[…]" : type === "object" ? "{…}" : "JSON", spellcheck: "false", value: schema.default === undefined ? "" : JSON.stringify(schema.default) });
    read = () => {
      if (!control.value.trim()) return undefined;
      try { return JSON.parse(control.value); } catch { return wrong("is not JSON."); }
    };
  }
  control.name = name;
  return { name, control, isRequired, read, row: field(label, control, hint) };
}
