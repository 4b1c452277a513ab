/// One entry of a `tools/list`, `prompts/list`, `resources/list` or `resources/templates/list`
/// result, by ranges, and how it is offered under the gateway's name.
public struct ListedItem: Hashable, Sendable {
    public enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        case tool, prompt, resource, resourceTemplate

        /// The member of the result that holds the list.
        public var member: StaticString {
            switch self {
            case .tool: "tools"
            case .prompt: "prompts"
            case .resource: "resources"
            case .resourceTemplate: "resourceTemplates"
            }
        }

        /// The member of an entry that identifies it.
        public var identifier: StaticString {
            switch self {
            case .tool, .prompt: "name"
            case .resource: "uri"
            case .resourceTemplate: "uriTemplate"
            }
        }
    }

    public var whole: ByteRange
    /// Name or URI, with quotes.
    public var identifier: ByteRange
    public var title: ByteRange?
    public var description: ByteRange?
    public var inputSchema: ByteRange?

    /// nil for an entry without a text to call it by, or that is no object: it is left out of the
    /// merged list, so that one bad entry does not take the others away.
    public init?(_ entry: ByteRange, _ kind: Kind, in bytes: RawSpan) {
        func text(_ name: StaticString) -> ByteRange? {
            guard let value = JSONScanner.member(name, of: entry, in: bytes),
                JSONScanner.kind(of: value, in: bytes) == .string
            else { return nil }
            return value
        }
        guard let identifier = text(kind.identifier), identifier.count > 2 else { return nil }
        whole = entry
        self.identifier = identifier
        title = text("title")
        description = text("description")
        inputSchema = JSONScanner.member("inputSchema", of: entry, in: bytes)
    }

    /// The well-formed entries of a list result, in their order.
    public static func entries(
        of result: ByteRange, _ kind: Kind, in bytes: RawSpan
    ) -> [ListedItem] {
        guard let list = JSONScanner.member(kind.member, of: result, in: bytes) else { return [] }
        var items: [ListedItem] = []
        var elements = JSONElements(of: list, in: bytes)
        while let element = elements.next(in: bytes) {
            if let item = ListedItem(element, kind, in: bytes) { items.append(item) }
        }
        return items
    }

    /// Appends the entry under its offered name. Where the name does not show all of the original,
    /// the full one becomes the title, unless the server gave a title itself.
    public func append(
        as offered: String, _ kind: Kind, server: String, description prefix: String?,
        in bytes: RawSpan, to json: inout [UInt8]
    ) {
        var changes = [JSONSplice.Change(kind.identifier, value: .string(offered))]
        let own = JSONScanner.string(identifier, in: bytes) ?? ""
        let full = server + ToolName.separator + own
        if title == nil, full != offered, kind == .tool || kind == .prompt {
            changes.append(.init("title", value: .string(full)))
        }
        if let prefix {
            let text = JSONScanner.string(description, in: bytes) ?? ""
            changes.append(.init("description", value: .string(prefix + text)))
        }
        var splice = JSONSplice()
        splice.edit(whole, in: bytes, changes)
        splice.append(whole, of: bytes, to: &json)
    }
}
