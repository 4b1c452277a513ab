/// Aligned columns under a line of names, and facts under one another.
struct Table {
    struct Cell {
        let text: String
        let colour: Style.Colour?

        init(_ text: String, _ colour: Style.Colour? = nil) {
            self.text = Words.harmless(text)
            self.colour = colour
        }

        /// A word that says how something is, in its colour.
        static func state(_ text: String) -> Cell { Cell(text, Style.colour(of: text)) }
    }

    private let names: [String]
    private var rows: [[Cell]] = []

    init(_ names: [String]) { self.names = names }

    mutating func add(_ row: [Cell]) {
        precondition(row.count == names.count, "each row has a cell for each column")
        rows.append(row)
    }

    /// `nothing` is said instead of an empty table.
    func text(_ style: Style, nothing: String) -> String {
        if rows.isEmpty { return nothing + "\n" }
        let widths = names.indices.map { column in
            max(names[column].count, rows.map { $0[column].text.count }.max() ?? 0)
        }
        let head = names.map { Cell($0, .bold) }
        return ([head] + rows).map { Self.line($0, widths, style) }.joined()
    }

    private static func line(_ cells: [Cell], _ widths: [Int], _ style: Style) -> String {
        var text = ""
        var gap = 0
        for (cell, width) in zip(cells, widths) {
            // Spaces before a cell and none after the last: lines end where their text does.
            if !cell.text.isEmpty {
                text += Words.spaces(gap) + style.paint(cell.text, cell.colour)
                gap = 0
            }
            gap += width - cell.text.count + 2
        }
        return text + "\n"
    }

    /// `   Name: value`, the colons under one another.
    static func facts(_ facts: [(name: String, value: Cell)], _ style: Style) -> String {
        let width = facts.map(\.name.count).max() ?? 0
        return facts.map { fact in
            let name = Words.spaces(width - fact.name.count) + fact.name
            return "\(name): \(style.paint(fact.value.text, fact.value.colour))\n"
        }.joined()
    }
}
