/// The page at `/docs`. It reads `/openapi.json` and writes it down; text goes into the page as text.
enum OpenAPIPage {
    static let html = #"""
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>omni2-native: REST</title>
        <style>
        :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
        body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
        h2 { margin: 2.5rem 0 .5rem; text-transform: capitalize; }
        details { border: 1px solid #8886; border-radius: .4rem; margin: .4rem 0; }
        summary { padding: .5rem .8rem; cursor: pointer; display: flex; gap: .8rem; flex-wrap: wrap; }
        summary b { min-width: 4.5rem; } summary code { font-weight: 600; }
        summary span { opacity: .8; }
        .in { padding: 0 .8rem .8rem; } pre { overflow: auto; padding: .8rem; background: #8881; }
        table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem .8rem .2rem 0;
          vertical-align: top; }
        input { width: 100%; font: inherit; padding: .5rem; box-sizing: border-box; }
        </style>
        <h1>omni2-native</h1>
        <p id="about"></p>
        <p><label>Show only what contains <input id="filter" type="search"></label></p>
        <p>The document itself: <a href="/openapi.json">/openapi.json</a></p>
        <main id="all"><p>Loading…</p></main>
        <script>
        "use strict";
        const make = (name, text, ...children) => {
          const element = document.createElement(name);
          if (text) element.textContent = text;
          element.append(...children);
          return element;
        };
        const json = value => make("pre", JSON.stringify(value, null, 2));
        function parameters(list) {
          const table = make("table");
          table.append(make("tr", "", ...["Name", "In", "What", "Schema"].map(t => make("th", t))));
          for (const one of list) table.append(make("tr", "", make("td", one.name + (one.required ? " *" : "")),
            make("td", one.in), make("td", one.description || ""), make("td", JSON.stringify(one.schema))));
          return table;
        }
        function operation(method, path, one) {
          const box = make("details", "", make("summary", "", make("b", method.toUpperCase()),
            make("code", path), make("span", one.summary)));
          const inside = make("div");
          inside.className = "in";
          if (one.description) inside.append(make("p", one.description));
          inside.append(make("p", "For " + one["x-access"] + "."));
          if (one.parameters) inside.append(make("h4", "Parameters"), parameters(one.parameters));
          if (one.requestBody) inside.append(make("h4", "Body"),
            json(one.requestBody.content["application/json"].schema));
          for (const [status, answer] of Object.entries(one.responses)) {
            inside.append(make("h4", status + " " + answer.description));
            for (const [type, content] of Object.entries(answer.content || {}))
              inside.append(make("p", type), json(content.schema || {}));
          }
          box.append(inside);
          box.dataset.text = (method + " " + path + " " + one.summary).toLowerCase();
          return box;
        }
        fetch("/openapi.json").then(answer => answer.json()).then(spec => {
          document.getElementById("about").textContent =
            "Version " + spec.info.version + ". " + spec.info.description;
          const groups = new Map();
          for (const [path, methods] of Object.entries(spec.paths))
            for (const [method, one] of Object.entries(methods)) {
              const tag = one.tags[0];
              if (!groups.has(tag)) groups.set(tag, []);
              groups.get(tag).push(operation(method, path, one));
            }
          const all = document.getElementById("all");
          all.replaceChildren();
          for (const [tag, list] of groups) all.append(make("section", "", make("h2", tag), ...list));
          document.getElementById("filter").oninput = event => {
            const wanted = event.target.value.toLowerCase();
            for (const box of all.querySelectorAll("details"))
              box.hidden = !box.dataset.text.includes(wanted);
            for (const section of all.querySelectorAll("section"))
              section.hidden = !section.querySelector("details:not([hidden])");
          };
        }).catch(error => { document.getElementById("all").textContent = "Not readable: " + error; });
        </script>
        """#
}
