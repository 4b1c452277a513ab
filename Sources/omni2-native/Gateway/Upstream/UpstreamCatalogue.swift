import OmniCore

/// What one MCP server offers: the lists of its last listing, item by item in the server's bytes.
struct UpstreamCatalogue: Sendable, Equatable {
    /// One tool, prompt, resource or resource template.
    struct Item: Sendable, Equatable {
        /// A tool's or prompt's name; a resource's `uri`; a template's `uriTemplate`.
        var name: String
        /// The object as the server wrote it.
        var json: [UInt8]
        /// Hints of a tool; nothing said for other items.
        var annotations = ToolAnnotations()

        /// The same object, however it is spelled: there are servers that write their members in
        /// another order in each era.
        static func == (left: Self, right: Self) -> Bool {
            left.name == right.name
                && (left.json == right.json || left.canonical == right.canonical)
        }

        /// The object in the one spelling that all others of it have in common.
        var canonical: [UInt8] {
            var canonicalizer = JSONCanonicalizer()
            var text: [UInt8] = []
            json.withRawSpan { bytes in
                let whole = ByteRange(offset: 0, count: bytes.byteCount)
                canonicalizer.append(whole, in: bytes, as: .lossless, to: &text)
            }
            return text
        }
    }

    var tools: [Item] = []
    var prompts: [Item] = []
    var resources: [Item] = []
    var resourceTemplates: [Item] = []

    /// The `serverInfo` and `capabilities` objects as the server wrote them.
    var serverInfo: [UInt8] = Array("{}".utf8)
    var capabilities: [UInt8] = Array("{}".utf8)
    var instructions: String?
    var protocolVersion = ""
    /// Rises with every connection and every change of a list; never repeats in one process.
    var epoch: UInt64 = 0

    /// Whether the lists are the same, whatever the server says of itself.
    func offersSame(as other: Self) -> Bool {
        tools == other.tools && prompts == other.prompts && resources == other.resources
            && resourceTemplates == other.resourceTemplates
    }
}

/// What a health check found.
struct UpstreamCheck: Sendable, Equatable {
    var toolCount: Int
    var responseTime: Duration
}
