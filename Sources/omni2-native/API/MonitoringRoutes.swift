import OmniCore
import OmniIO

/// `/api/v1/monitoring`: who is watched, and what was recorded, in the original's shapes.
struct MonitoringRoutes {
    let io: any IO
    let store: SQLStore
    let tracker: FlowTracker
    let log: Log

    /// Flows of one answer, and hours of watching, at most.
    private static let limitMax = 1000
    private static let hoursMax = 24.0 * 365
    private static let usersMax = 1000

    func add(to router: inout Router) {
        let base = "/api/v1/monitoring"
        let enabling = "Shows the flows of users live, for ttl_hours (24)".described
        let disabling = "Shows the flows of users live no longer".described
        for form in ["", "/{user_id}"] {
            router.on(.post, "\(base)/enable\(form)", .operator, enabling) { enable($0) }
            router.on(.post, "\(base)/disable\(form)", .operator, disabling) { disable($0) }
        }
        router.on(
            .get, "\(base)/list", .operator, "Lists the users who are watched".described
        ) { list($0) }
        router.on(
            .get, "\(base)/users", .operator, "Lists all users".described
        ) { users($0) }
        let filters = "limit, source, checkpoint, and from and to in seconds since 1970."
        router.on(
            .get, "\(base)/flows/{user_id}", .authenticated,
            "Lists a user's flows, newest first".described.explained(filters)
        ) { history($0, sessions: false) }
        router.on(
            .get, "\(base)/flows/user/{user_id}/sessions", .authenticated,
            "Lists a user's flows as sessions, newest first".described.explained(filters)
        ) { history($0, sessions: true) }
        router.on(
            .get, "\(base)/flows/session/{session_id}", .authenticated,
            "Shows one flow with its tree".described
        ) { session($0) }
        router.on(
            .get, "\(base)/flows/session/{session_id}/export", .authenticated,
            "Gives one flow as a file".described
        ) { export($0) }
    }

    // MARK: Who is watched

    /// From the path, or from a body that is an array, a number, or `{"user_ids": […]}`.
    private func wanted(_ call: Router.Call) -> [Int]? {
        if !call["user_id"].isEmpty {
            if let user = Int(call["user_id"]), user >= 0 { return [user] }
            call.fail(.badRequest, "The path ends in the number of a user.")
            return nil
        }
        guard let body = call.json() else { return nil }
        let list = (body.object == nil ? body : body["user_ids"] ?? .null)
        let values = list.array ?? [list]
        let users = values.compactMap { $0.int }.compactMap { Int(exactly: $0) }
        guard users.count == values.count, users.allSatisfy({ $0 >= 0 }),
            users.count <= Self.usersMax
        else {
            call.fail(
                .badRequest,
                "The body is a list of at most \(Self.usersMax) user numbers, such as [1,2].")
            return nil
        }
        return users
    }

    private func enable(_ call: Router.Call) {
        guard let users = wanted(call) else { return }
        let text = call.request.query("ttl_hours") ?? "24"
        guard let hours = Double(text), hours > 0, hours <= Self.hoursMax else {
            return call.fail(.badRequest, "ttl_hours must be a number above 0, a year at most.")
        }
        let expiry = io.wallMicroseconds + UInt64(hours * 3600 * 1e6)
        io.spawn {
            let isStored = await stored { () async throws(StoreError) in
                try await tracker.monitored.enable(users, until: expiry)
            }
            call.respond(
                HTTPResponse(json: [
                    "status": "enabled", "user_ids": .array(users.map { JSONValue($0) }),
                    "expires_at": .double(Double(expiry) / 1e6), "persisted": .bool(isStored),
                ]))
        }
    }

    private func disable(_ call: Router.Call) {
        guard let users = wanted(call) else { return }
        io.spawn {
            let isStored = await stored { () async throws(StoreError) in
                try await tracker.monitored.disable(users)
            }
            call.respond(
                HTTPResponse(json: [
                    "status": "disabled", "user_ids": .array(users.map { JSONValue($0) }),
                    "persisted": .bool(isStored),
                ]))
        }
    }

    /// Whether it will outlive a restart: what is ordered holds either way.
    private func stored(_ write: () async throws(StoreError) -> Void) async -> Bool {
        do throws(StoreError) {
            try await write()
            return true
        } catch {
            log.warning(
                "monitoring holds until the next restart only, the database does not take it",
                fields: ["error": "\(error)"])
            return false
        }
    }

    private func list(_ call: Router.Call) {
        let users = tracker.monitored.list.map { entry -> JSONValue in
            [
                "user_id": JSONValue(entry.user),
                "expires_at": .double(Double(entry.expiry) / 1e6),
            ]
        }
        call.respond(HTTPResponse(json: ["monitored_users": .array(users)]))
    }

    private func users(_ call: Router.Call) {
        answer(call) { () async throws(StoreError) in
            let users = try await store.users().map { user -> JSONValue in
                [
                    "id": JSONValue(user.id), "email": JSONValue(user.email),
                    "full_name": JSONValue(user.name ?? user.email),
                ]
            }
            return ["users": .array(users)]
        }
    }

    // MARK: History

    private func history(_ call: Router.Call, sessions: Bool) {
        guard let user = Int(call["user_id"]) else {
            return call.fail(.badRequest, "The path names a user by number.")
        }
        guard call.principal.mayWatchFlow(of: user) else {
            return call.fail(.forbidden, "These flows are not yours to see.")
        }
        guard let query = query(call, user) else { return }
        answer(call) { () async throws(StoreError) in
            await tracker.history.flush()
            let flows = try await store.flows(query)
            return sessions
                ? ["user_id": JSONValue(user), "sessions": .array(flows.map(Self.session))]
                : ["flows": .array(flows.map(Self.flow))]
        }
    }

    /// `limit`, `source`, `checkpoint`, and `from` and `to` in seconds since 1970.
    private func query(_ call: Router.Call, _ user: Int) -> FlowQuery? {
        var query = FlowQuery(user: user)
        if let text = call.request.query("limit") {
            guard let limit = Int(text), (1...Self.limitMax).contains(limit) else {
                call.fail(.badRequest, "limit must be a number from 1 to \(Self.limitMax).")
                return nil
            }
            query.limit = limit
        }
        query.source = call.request.query("source").flatMap { $0.isEmpty ? nil : $0 }
        if let word = call.request.query("checkpoint"), !word.isEmpty {
            guard CheckpointKind(rawValue: word) != nil else {
                let known = CheckpointKind.allCases.map(\.rawValue).joined(separator: ", ")
                call.fail(.badRequest, "checkpoint must be one of \(known).")
                return nil
            }
            query.checkpoint = word
        }
        for (name, path) in [("from", \FlowQuery.from), ("to", \FlowQuery.to)] {
            guard let text = call.request.query(name), !text.isEmpty else { continue }
            guard let seconds = Double(text), abs(seconds) < 1e11 else {
                call.fail(.badRequest, "\(name) must be seconds since 1970.")
                return nil
            }
            query[keyPath: path] = Int64(seconds * 1e6)
        }
        return query
    }

    private func session(_ call: Router.Call) {
        one(call) { record in
            let events = Self.events(of: record)
            var answer = Self.flow(record)
            answer["user_id"] = JSONValue(record.user)
            answer["source"] = JSONValue(record.source)
            answer["flows"] = .array(events)
            answer["tree"] = .array(FlowTree.roots(of: events))
            call.respond(HTTPResponse(json: answer))
        }
    }

    /// The flow as it is stored, as a file.
    private func export(_ call: Router.Call) {
        one(call) { record in
            var document = Self.flow(record)
            document["user_id"] = JSONValue(record.user)
            document["conversation_id"] = JSONValue(record.conversation)
            document["source"] = JSONValue(record.source)
            call.respond(
                HTTPResponse(
                    json: document,
                    headers: [
                        .init(
                            name: "Content-Disposition",
                            value: "attachment; filename=\"flow-\(record.session).json\"")
                    ]))
        }
    }

    private func one(_ call: Router.Call, _ found: @escaping (FlowRecord) -> Void) {
        guard let id = FlowID(call["session_id"]) else {
            return call.fail(.badRequest, "A session is named by its UUID.")
        }
        io.spawn {
            do throws(StoreError) {
                await tracker.history.flush()
                // Somebody else's flow is not told from one that does not exist.
                guard let record = try await store.flow(session: id),
                    call.principal.mayWatchFlow(of: record.user)
                else { return call.fail(.notFound, "There is no flow of this session.") }
                found(record)
            } catch {
                unavailable(call, error)
            }
        }
    }

    // MARK: Answers

    private func answer(
        _ call: Router.Call, _ make: @escaping () async throws(StoreError) -> JSONValue
    ) {
        io.spawn {
            do throws(StoreError) {
                call.respond(HTTPResponse(json: try await make()))
            } catch {
                unavailable(call, error)
            }
        }
    }

    private func unavailable(_ call: Router.Call, _ error: StoreError) {
        log.warning("flows could not be read", fields: ["error": "\(error)"])
        call.fail(
            .serviceUnavailable, "The database does not answer; what happens now is kept for it.",
            headers: [.init(name: "Retry-After", value: "5")])
    }

    private static func data(of record: FlowRecord) -> JSONValue {
        // Rows of the original are JSON too; one that is not is shown as nothing.
        (try? JSONValue(parsing: record.data)) ?? [:]
    }

    private static func events(of record: FlowRecord) -> [JSONValue] {
        data(of: record)["events"]?.array ?? []
    }

    private static func flow(_ record: FlowRecord) -> JSONValue {
        [
            "session_id": .string(record.session), "flow_data": data(of: record),
            "created_at": time(record.createdAt), "completed_at": time(record.completedAt),
        ]
    }

    private static func session(_ record: FlowRecord) -> JSONValue {
        let events = events(of: record)
        return [
            "session_id": .string(record.session), "started_at": time(record.createdAt),
            "completed_at": time(record.completedAt), "event_count": JSONValue(events.count),
            "events": .array(events), "source": JSONValue(record.source ?? "chat"),
        ]
    }

    private static func time(_ microseconds: Int64?) -> JSONValue { Timestamp.json(microseconds) }
}
