import OmniCore

/// `circuit show` and `circuit reset`.
enum CircuitCommands {
    @Sendable
    static func show(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
        let json = try await client.get("\(server.circuitPath)/status")
        return Reply(json) { style in Table.facts(facts(json), style) }
    }

    private static func facts(_ json: JSONValue) -> [(name: String, value: Table.Cell)] {
        let circuit = json["circuit_breaker"] ?? .null
        let disabling = json["auto_disable"] ?? .null
        var facts: [(name: String, value: Table.Cell)] = [
            ("Server", .init(Words.plain(json["server"]?["name"]))),
            ("Circuit", .state(Words.plain(circuit["state"]))),
            (
                "Failed cycles",
                .init(
                    "\(Words.plain(circuit["failure_cycles"])) of "
                        + "\(Words.plain(disabling["max_failure_cycles"])), then it is disabled")
            ),
        ]
        if let seconds = circuit["retry_after_seconds"]?.int {
            facts.append(("Next attempt", .init("in \(Words.time(seconds: seconds))")))
        }
        if let time = disabling["auto_disabled_at"]?.string {
            let reason = Words.plain(disabling["auto_disabled_reason"])
            facts.append(("Disabled", .init("\(time): \(reason)", .red)))
        }
        return facts
    }

    @Sendable
    static func reset(_ invocation: Invocation, _ client: Client) async throws(Failure) -> Reply {
        let server = try await RegisteredServer.named(invocation[argument: "SERVER"], client)
        guard server.isEnabled else { throw ServerOrders.isDisabled(server) }
        let json = try await client.post("\(server.circuitPath)/reset")
        return Reply(
            json, "The circuit of \(server.name) is \(Words.plain(json["circuit_state"])).")
    }
}
