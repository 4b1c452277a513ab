import OmniCore
import OmniIO

/// One request to a server, under the names the server knows.
struct UpstreamRequest {
    let method: MCPMethod
    /// A raw object, in the words of either era; nil when there are none.
    let params: [UInt8]?
    /// Asking twice does no harm, so a lost session may be renewed under it.
    var isRepeatable: Bool
    /// The client asked for progress.
    var wantsProgress = false
    /// Who hears of progress, logs and questions.
    var listener: (any UpstreamCallListener)?
    var cancellation: UpstreamCancellation?
    /// The tool, for the name of the step.
    var target: String?
    /// The step above; nil takes that of the request at hand.
    var trace: TraceContext?

    init(_ method: MCPMethod, params: [UInt8]?) {
        self.method = method
        self.params = params
        isRepeatable = method.isRepeatable
    }
}
