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
        let widths = fitting(
            names.indices.map { column in
                max(names[column].count, rows.map { $0[column].text.count }.max() ?? 0)
            }, style.width)
        let head = names.map { Cell($0, .bold) }
        return ([head] + rows).map { Self.line($0, widths, style) }.joined()
    }

    /// What does not fit is taken from the widest column until all do, or all are narrow.
    private func fitting(_ widths: [Int], _ limit: Int?) -> [Int] {
        var widths = widths
        guard let limit else { return widths }
        var excess = widths.reduce(0, +) + 2 * (widths.count - 1) - limit
        while excess > 0 {
            guard let widest = widths.indices.max(by: { widths[$0] < widths[$1] }),
                widths[widest] > Self.columnMin
            else { break }
            widths[widest] -= 1
            excess -= 1
        }
        return widths
    }

    /// A narrower one says nothing.
    private static let columnMin = 4

    private static func line(_ cells: [Cell], _ widths: [Int], _ style: Style) -> String {
        var text = ""
        var gap = 0
        for (cell, width) in zip(cells, widths) {
            // Spaces before a cell and none after the last: lines end where their text does.
            if !cell.text.isEmpty {
                let shown = Words.cut(cell.text, to: width)
                text += Words.spaces(gap) + style.paint(shown, cell.colour)
                gap = -shown.count
            }
            gap += width + 2
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
