import ClusterModel
import Foundation
import NIOCore

extension FaultyHost {
  /// Prepares the answer to a request and the faults that interrupt it.
  func exchange(
    _ question: FaultyHostQuestion, number: Int, faults: FaultyHostFaults
  ) -> FaultyHostExchange {
    let path = question.request.path
    let isAnswer = question.purpose.isText
    let reply = isAnswer ? self.reply(to: question) : FaultyHostReply()
    let whole = reply.pieces(configuration.tokens)
    let kept = Array(whole.prefix(max(question.maxTokens ?? whole.count, 0)))
    // Seeded by the request's number, so that the request's random fault does not depend on the
    // choices for other requests.
    var rng = SplitMix64(seed: configuration.seed ^ (UInt64(number) << 32))
    let resolved = faults.resolved(
      bytes: kept.reduce(0) { $0 + $1.counted.utf8.count }, using: &rng)

    var pieces = kept
    var breaksAt: FaultyHostPiece.Break?
    if resolved.kind != nil {
      let broken = FaultyHostPiece.broken(kept, atByte: resolved.atByte ?? 0)
      pieces = broken.pieces
      breaksAt = broken.at
    }
    let lines = FaultyHostLines(
      model: question.model ?? configuration.models.first ?? "", number: number, pieces: pieces,
      tokenCount: kept.count, isCut: kept.count < whole.count,
      includeUsage: question.includeUsage, cachedTokens: configuration.cachedTokens)
    let voice = question.dialect.voice(lines, question.purpose)
    var record = FaultyHostRecord(
      number: number, path: path, model: lines.model, streams: question.stream && isAnswer,
      began: NIODeadline.now().uptimeNanoseconds)
    record.fault = resolved.kind
    if case .after(let prefix) = question.start { record.prefixBytes = prefix.utf8.count }
    let exchange = FaultyHostExchange(
      path: path, streams: question.stream && isAnswer, faults: resolved, record: record,
      voice: voice)
    exchange.pieces = pieces
    exchange.breaksAt = breaksAt
    if question.purpose == .embeddings {
      exchange.wholeBody = question.dialect.embeddings(
        model: lines.model, vectors(for: question.request.body))
    }
    return exchange
  }

  /// JSON vectors, one for each text of `input`.
  private func vectors(for body: [UInt8]) -> [String] {
    let object = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
    let input = object?["input"]
    let texts = input as? [String] ?? [input as? String ?? ""]
    return texts.map { text in
      let numbers = configuration.vector(text).map { number in
        number == number.rounded() ? "\(Int(number))" : "\(number)"
      }
      return "[\(numbers.joined(separator: ","))]"
    }
  }

  private func reply(to question: FaultyHostQuestion) -> FaultyHostReply {
    switch configuration.answer {
    case .text(let text): FaultyHostReply(text)
    case .echo: FaultyHostReply(String(decoding: question.request.body, as: UTF8.self))
    case .corpus(let corpus): corpus.reply(to: question)
    case .writer(let write): write(question)
    }
  }

  /// Responses that need no model: listings, versions, errors, and the loading of a model. `nil`
  /// means that the request needs a model.
  func answerAtOnce(_ question: FaultyHostQuestion) -> (status: Int, body: [UInt8])? {
    let dialect = question.dialect
    let model = question.model ?? configuration.models.first ?? ""
    switch question.purpose {
    case .listing:
      return (
        200, dialect.listing(of: configuration.models, contextTokens: configuration.contextTokens)
      )
    case .version: return (200, dialect.version ?? [])
    case .chat, .completion, .embeddings: break
    }
    if let complaint = question.complaint {
      return (complaint.status, dialect.error(complaint.message, status: complaint.status))
    }
    if !configuration.models.contains(model),
      let message = dialect.complaint(aboutUnknown: model)
    {
      return (404, dialect.error(message, status: 404))
    }
    guard question.purpose == .chat, question.messages.isEmpty,
      let body = dialect.answerWithoutMessages(model: model, body: question.request.body)
    else { return nil }
    return (200, body)
  }
}
