import OmniCore
import OmniIO

/// A question in its trace, named as OpenTelemetry's conventions for generative AI have it: one span
/// for all of it, and below it one for each round of the model.
extension Telemetry {
    func asked(_ question: ChatQuestion, of model: any LanguageModel) -> Span? {
        let span = step("invoke_agent omni2-native", in: question.context.trace)
        span?.set("gen_ai.operation.name", "invoke_agent")
        span?.set("gen_ai.agent.name", "omni2-native")
        span?.set("gen_ai.provider.name", model.provider)
        span?.set("gen_ai.request.model", model.name)
        span?.set("enduser.id", question.principal.name)
        span?.set("gen_ai.conversation.id", ifPresent: question.conversation?.text)
        return span
    }

    func round(of model: any LanguageModel, in parent: TraceContext?) -> Span? {
        let span = step("chat \(model.name)", .client, in: parent)
        span?.set("gen_ai.operation.name", "chat")
        span?.set("gen_ai.provider.name", model.provider)
        span?.set("gen_ai.request.model", model.name)
        return span
    }
}

extension Span {
    func end(_ usage: ModelUsage) {
        set("gen_ai.usage.input_tokens", usage.input + usage.cached)
        set("gen_ai.usage.cache_read.input_tokens", usage.cached)
        set("gen_ai.usage.output_tokens", usage.output)
        end()
    }

    func fail(_ error: ModelError) { fail(error.typeWord, error.description) }
}

extension ModelError {
    /// For `error.type`.
    fileprivate var typeWord: String {
        switch self {
        case .unavailable: "unavailable"
        case .refused(let status, _): String(status)
        case .broken: "broken"
        case .timedOut: "timeout"
        case .cancelled: "cancelled"
        }
    }
}
