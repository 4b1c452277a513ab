/// Every method of every revision, who may send it, and in which revisions it exists.
public enum MCPMethod: UInt8, CaseIterable, Hashable, Sendable {
    // Requests of a client.
    case initialize, ping, discover
    case listTools, callTool
    case listPrompts, getPrompt
    case listResources, listResourceTemplates, readResource
    case subscribeResource, unsubscribeResource
    case complete, setLogLevel, listen
    case getTask, taskResult, listTasks, updateTask, cancelTask
    // Requests of a server.
    case createMessage, listRoots, elicit
    // Notifications of a client.
    case initialized, rootsListChanged
    // Notifications of either side.
    case cancelled, progress, taskStatus
    // Notifications of a server.
    case logMessage, toolsListChanged, promptsListChanged, resourcesListChanged
    case resourceUpdated, elicitationComplete, subscriptionsAcknowledged

    /// What a client must have declared to be asked this; nil for what is no question to a client.
    public var neededCapability: ClientCapabilities? {
        switch self {
        case .createMessage: .sampling
        case .elicit: .elicitation
        case .listRoots: .roots
        default: nil
        }
    }

    public enum Sender: UInt8, Hashable, Sendable { case client, server, either }

    /// From the `method` of an envelope (range with quotes); nil when no revision knows it.
    public init?(_ method: ByteRange?, in bytes: RawSpan) {
        guard let method else { return nil }
        for candidate in Self.allCases {
            let name = candidate.name
            // The length tells almost all of them apart; an escaped name is longer than it is.
            if name.utf8CodeUnitCount + 2 <= method.count,
                JSONScanner.equals(method, name, in: bytes)
            {
                self = candidate
                return
            }
        }
        return nil
    }

    public init?(name: String) {
        guard let method = Self.allCases.first(where: { "\($0.name)" == name }) else { return nil }
        self = method
    }

    public var name: StaticString {
        switch self {
        case .initialize: "initialize"
        case .ping: "ping"
        case .discover: "server/discover"
        case .listTools: "tools/list"
        case .callTool: "tools/call"
        case .listPrompts: "prompts/list"
        case .getPrompt: "prompts/get"
        case .listResources: "resources/list"
        case .listResourceTemplates: "resources/templates/list"
        case .readResource: "resources/read"
        case .subscribeResource: "resources/subscribe"
        case .unsubscribeResource: "resources/unsubscribe"
        case .complete: "completion/complete"
        case .setLogLevel: "logging/setLevel"
        case .listen: "subscriptions/listen"
        case .getTask: "tasks/get"
        case .taskResult: "tasks/result"
        case .listTasks: "tasks/list"
        case .updateTask: "tasks/update"
        case .cancelTask: "tasks/cancel"
        case .createMessage: "sampling/createMessage"
        case .listRoots: "roots/list"
        case .elicit: "elicitation/create"
        case .initialized: "notifications/initialized"
        case .rootsListChanged: "notifications/roots/list_changed"
        case .cancelled: "notifications/cancelled"
        case .progress: "notifications/progress"
        case .taskStatus: "notifications/tasks/status"
        case .logMessage: "notifications/message"
        case .toolsListChanged: "notifications/tools/list_changed"
        case .promptsListChanged: "notifications/prompts/list_changed"
        case .resourcesListChanged: "notifications/resources/list_changed"
        case .resourceUpdated: "notifications/resources/updated"
        case .elicitationComplete: "notifications/elicitation/complete"
        case .subscriptionsAcknowledged: "notifications/subscriptions/acknowledged"
        }
    }

    public var sender: Sender {
        switch self {
        case .ping, .cancelled, .progress, .taskStatus, .getTask, .taskResult, .listTasks,
            .cancelTask:
            .either
        case .createMessage, .listRoots, .elicit, .logMessage, .toolsListChanged,
            .promptsListChanged, .resourcesListChanged, .resourceUpdated, .elicitationComplete,
            .subscriptionsAcknowledged:
            .server
        default: .client
        }
    }

    public var isNotification: Bool {
        switch self {
        case .initialized, .rootsListChanged, .cancelled, .progress, .taskStatus, .logMessage,
            .toolsListChanged, .promptsListChanged, .resourcesListChanged, .resourceUpdated,
            .elicitationComplete, .subscriptionsAcknowledged:
            true
        default: false
        }
    }

    public var revisions: ClosedRange<ProtocolVersion> {
        switch self {
        case .discover, .listen, .subscriptionsAcknowledged, .updateTask:
            .v2026_07_28 ... .v2026_07_28
        case .initialize, .initialized, .ping, .setLogLevel, .subscribeResource,
            .unsubscribeResource, .rootsListChanged, .createMessage, .listRoots:
            .v2024_11_05 ... .v2025_11_25
        case .elicit: .v2025_06_18 ... .v2025_11_25
        case .elicitationComplete, .taskResult, .listTasks, .taskStatus:
            .v2025_11_25 ... .v2025_11_25
        case .getTask, .cancelTask: .v2025_11_25 ... .v2026_07_28
        default: .v2024_11_05 ... .v2026_07_28
        }
    }

    public func exists(in version: ProtocolVersion) -> Bool { revisions.contains(version) }

    /// What the modern era repeats in the `Mcp-Name` header.
    public enum Subject: UInt8, Hashable, Sendable { case none, name, uri, taskID }

    public var subject: Subject {
        switch self {
        case .callTool, .getPrompt: .name
        case .readResource, .subscribeResource, .unsubscribeResource: .uri
        case .getTask, .updateTask, .cancelTask, .taskResult: .taskID
        default: .none
        }
    }

    /// Asking twice does no harm, so a lost session may be renewed under it.
    public var isRepeatable: Bool {
        switch self {
        case .ping, .discover, .listTools, .listPrompts, .getPrompt, .listResources,
            .listResourceTemplates, .readResource, .complete, .setLogLevel, .subscribeResource,
            .unsubscribeResource, .getTask, .taskResult, .listTasks:
            true
        default: false
        }
    }
}
