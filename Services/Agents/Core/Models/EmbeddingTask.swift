public import ClusterModel
import Limits
import Text

/// A task whose output is a vector. An embedding model gets one text.
public enum EmbeddingTask {
  /// Maximum bytes of a text. Embedding models read some 512 to 8,192 tokens, and hosts reject
  /// longer texts.
  static let maximumBytes = 32 << 10

  /// Returns the task's own model, otherwise the first embedding model.
  /// - Parameter embedders: embedding models of ready hosts.
  /// - Throws: `noEligibleHost` if there is none.
  public static func model(
    for task: PlanTask, among embedders: [ModelID]
  ) throws(Failure) -> ModelID {
    if let model = task.model { return model }
    guard let model = embedders.first else {
      throw Failure(.noEligibleHost, "no ready host offers an embedding model")
    }
    return model
  }

  /// The body of the request, without `model`.
  /// - Throws: `invalidRequest` if there is no text to embed.
  public static func body(for order: TaskOrder) throws(Failure) -> [UInt8] {
    let parts = [order.task.instruction] + order.inputs.map(\.text)
    let text = parts.filter { !$0.isEmpty }.joined(separator: "\n\n")
    guard !text.isEmpty else {
      throw Failure(.invalidRequest, "the task has neither an instruction nor inputs to embed")
    }
    let input = Fence.withoutControlTokens(text.cut(toBytes: maximumBytes))
    return JSON.object([("input", .string(input))]).encoded
  }

  /// - Returns: the first embedding in a host's answer, as the JSON array of numbers that the host
  ///   wrote.
  /// - Throws: `upstreamFailed` if there is none.
  public static func vector(in body: [UInt8]) throws(Failure) -> String {
    guard let document = try? JSONDocument(validating: body),
      let data = document.value("data", in: document.root),
      let first = document.firstElement(of: data),
      let vector = document.value("embedding", in: first), vector.kind == .array,
      vector.range.count <= Limits.taskOutputBytes.value, isVector(vector, in: document)
    else { throw Failure(.upstreamFailed, "the host's answer holds no embedding") }
    return String(decoding: document.slice(vector), as: UTF8.self)
  }

  private static func isVector(_ value: JSONValue, in document: JSONDocument) -> Bool {
    var (count, isGood) = (0, true)
    document.forEachElement(of: value) { element in
      count += 1
      isGood = element.kind == .number && count <= Limits.vectorNumbers.value
      return isGood
    }
    return isGood
  }
}
