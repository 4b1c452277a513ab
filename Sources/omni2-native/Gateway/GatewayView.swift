import OmniCore

/// The gateway's lists as one permission sees them: nothing else of the catalogue exists for it, in
/// lists, calls and errors alike. Shared by all principals of equal permission.
final class GatewayView {
    let access: EffectiveAccess
    let tools: [GatewayCatalogue.Item]
    let prompts: [GatewayCatalogue.Item]
    let resources: [GatewayCatalogue.Item]
    let templates: [GatewayCatalogue.Item]
    private let toolByName: [String: Int]
    private let promptByName: [String: Int]

    init(_ catalogue: GatewayCatalogue, _ access: EffectiveAccess) {
        self.access = access
        tools = catalogue.tools.filter { access.mayCall(tool: $0.name, on: $0.serverName) }
        prompts = catalogue.prompts.filter { access.mayGet(prompt: $0.name, on: $0.serverName) }
        resources = catalogue.resources.filter {
            access.mayRead(resource: $0.name, on: $0.serverName)
        }
        // A list of resources is a list of URIs: a template is shown where one of its could be read.
        templates = catalogue.templates.filter { item in
            access.mayRead(resource: item.name, on: item.serverName)
        }
        toolByName = Self.positions(tools)
        promptByName = Self.positions(prompts)
    }

    private static func positions(_ items: [GatewayCatalogue.Item]) -> [String: Int] {
        Dictionary(
            items.enumerated().map { ($1.offered, $0) }, uniquingKeysWith: { first, _ in first })
    }

    func tool(named name: String) -> GatewayCatalogue.Item? { toolByName[name].map { tools[$0] } }
    func prompt(named name: String) -> GatewayCatalogue.Item? {
        promptByName[name].map { prompts[$0] }
    }

    /// What is different for somebody who saw `other` until now.
    func changes(from other: GatewayView) -> GatewayCatalogue.Changes {
        GatewayCatalogue.Changes(
            tools: !GatewayCatalogue.areEqual(tools, other.tools),
            prompts: !GatewayCatalogue.areEqual(prompts, other.prompts),
            resources: !GatewayCatalogue.areEqual(resources, other.resources)
                || !GatewayCatalogue.areEqual(templates, other.templates))
    }
}

/// The views in use, by permission; made anew when the catalogue changes.
final class GatewayViews {
    private var views: [EffectiveAccess: GatewayView] = [:]
    /// Different permissions at one time, beyond which views are made as they are asked for.
    private static let viewsMax = 1000

    func view(_ catalogue: GatewayCatalogue, _ access: EffectiveAccess) -> GatewayView {
        if let known = views[access] { return known }
        let view = GatewayView(catalogue, access)
        if views.count >= Self.viewsMax { views = [:] }
        views[access] = view
        return view
    }

    func forget() { views = [:] }
}
