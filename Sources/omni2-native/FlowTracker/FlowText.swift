import OmniCore

/// The three texts of a checkpoint: in history, live, and as the fields of a Redis stream.
enum FlowText {
    /// `flow_data`: `{session_id, user_id, events: […]}`.
    static func document(_ flow: Flow) -> [UInt8] {
        var json = JSONWriter(reserving: 256 + flow.checkpoints.count * 256)
        json.object { json in
            json.member("session_id", flow.id.text)
            json.member("user_id", flow.user)
            json.memberArray("events") { json in
                for checkpoint in flow.checkpoints {
                    json.object { event(checkpoint, of: flow, to: &$0) }
                }
            }
            if !flow.requestID.isEmpty { json.member("request_id", flow.requestID) }
            if flow.dropped > 0 { json.member("dropped_events", flow.dropped) }
        }
        return json.take()
    }

    /// What watchers get: the node with the names of its flow. `sequence` and topic are the hub's,
    /// which other listeners do not know.
    static func live(
        _ checkpoint: Checkpoint, of flow: Flow, sequence: UInt64?, origin: String? = nil
    ) -> [UInt8] {
        var json = JSONWriter(reserving: 384)
        json.object { json in
            if let sequence {
                json.member("type", "flow_event")
                json.member("topic", FlowTopic.name(of: flow.user))
                json.member("seq", sequence)
            }
            json.member("user_id", flow.user)
            json.member("session_id", flow.id.text)
            event(checkpoint, of: flow, to: &json)
            if !checkpoint.names("source") { json.member("source", flow.source.rawValue) }
            json.member("origin", ifPresent: origin)
        }
        return json.take()
    }

    /// Names and values, in turn.
    static func streamFields(_ checkpoint: Checkpoint, of flow: Flow) -> [String] {
        var fields = [
            "node_id", checkpoint.id.text, "event_type", checkpoint.kind.rawValue, "parent_id",
            parent(of: checkpoint, in: flow) ?? "", "timestamp", time(checkpoint.time),
        ]
        for (name, value) in checkpoint.fields {
            fields.append("\(name)")
            fields.append(value.string ?? value.text)
        }
        if let duration = checkpoint.duration {
            fields += ["duration_ms", JSONValue.double(milliseconds(duration)).text]
        }
        return fields
    }

    private static func event(
        _ checkpoint: Checkpoint, of flow: Flow, to json: inout JSONWriter
    ) {
        json.member("node_id", checkpoint.id.text)
        json.member("event_type", checkpoint.kind.rawValue)
        json.member("parent_id", orNull: parent(of: checkpoint, in: flow))
        json.member("timestamp", time(checkpoint.time))
        for (name, value) in checkpoint.fields { json.member(name, value) }
        if let duration = checkpoint.duration {
            json.member("duration_ms", milliseconds(duration))
        }
    }

    private static func parent(of checkpoint: Checkpoint, in flow: Flow) -> String? {
        checkpoint.parent < 0 ? nil : flow.checkpoints[checkpoint.parent].id.text
    }

    /// Seconds since 1970 as a text that reads as a number.
    static func time(_ microseconds: UInt64) -> String {
        let fraction = String(1_000_000 + microseconds % 1_000_000).dropFirst()
        return "\(microseconds / 1_000_000).\(fraction)"
    }

    static func milliseconds(_ duration: Duration) -> Double {
        let (seconds, attoseconds) = duration.components
        return Double(seconds * 1_000_000 + attoseconds / 1_000_000_000_000) / 1000
    }
}

extension Checkpoint {
    fileprivate func names(_ name: StaticString) -> Bool {
        fields.contains { "\($0.name)" == "\(name)" }
    }
}

/// `flow:{user}`: what dashboards subscribe to.
enum FlowTopic {
    private static let prefix = "flow:"

    static func name(of user: Int) -> String { prefix + String(user) }

    /// The user whose flow a topic is; nil for other topics. Subscriptions compare without case.
    static func user(of topic: String) -> Int? {
        let topic = topic.lowercased()
        return topic.hasPrefix(prefix) ? Int(topic.dropFirst(prefix.count)) : nil
    }
}
