import OmniCore

/// The events of a saved flow as a tree: each node with its `children`, in the order they came.
enum FlowTree {
    /// Every root, also those whose parent is not among the events.
    static func roots(of events: [JSONValue]) -> [JSONValue] {
        var children: [String: [Int]] = [:]
        var known: Set<String> = []
        for event in events { if let id = event["node_id"]?.string { known.insert(id) } }
        var roots: [Int] = []
        for (index, event) in events.enumerated() {
            let parent = event["parent_id"]?.string ?? ""
            let isOwn = parent == event["node_id"]?.string
            if known.contains(parent), !isOwn {
                children[parent, default: []].append(index)
            } else {
                roots.append(index)
            }
        }
        // What was stored by others may go round in a circle: nothing is shown twice.
        var shown: Set<Int> = []
        func node(_ index: Int) -> JSONValue {
            shown.insert(index)
            var event = events[index]
            guard event.object != nil else { return event }
            let below = event["node_id"]?.string.flatMap { children[$0] } ?? []
            event["children"] = .array(below.filter { !shown.contains($0) }.map(node))
            return event
        }
        return roots.map(node)
    }
}
