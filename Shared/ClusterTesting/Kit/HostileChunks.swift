/// Events of the OpenAI dialect, as parts of a script.
enum HostileChunks {
  typealias Part = HostileScript.Part

  static func letters(_ count: Int, _ letter: Character = "a") -> String {
    String(repeating: letter, count: count)
  }

  static func event(_ json: String) -> [UInt8] { Array("data: \(json)\n\n".utf8) }

  /// A chunk with one choice.
  static func chunk(
    _ delta: String, finish: String? = nil, index: String = "0", id: String = "chatcmpl-1",
    more: String = ""
  ) -> [UInt8] {
    let reason = finish.map { "\"\($0)\"" } ?? "null"
    return event(
      #"{"id":"\#(id)","object":"chat.completion.chunk","created":1700000000,"model":"m","#
        + #""choices":[{"index":\#(index),"delta":\#(delta),"finish_reason":\#(reason)}]\#(more)}"#)
  }

  /// - Parameter json: the inside of a JSON string.
  static func text(_ json: String) -> [UInt8] { chunk(#"{"content":"\#(json)"}"#) }

  static func call(_ index: String, name: String? = nil, arguments: String) -> [UInt8] {
    let identity = name == nil ? "" : #""id":"call_\#(index)","type":"function","#
    let function = name.map { #""name":"\#($0)","# } ?? ""
    return chunk(
      #"{"tool_calls":[{"index":\#(index),\#(identity)"function":{\#(function)"#
        + #""arguments":"\#(arguments)"}}]}"#)
  }

  static let done = event("[DONE]")
  static let opening = chunk(#"{"role":"assistant","content":""}"#)
  /// The proper end of an answer.
  static let ending = chunk("{}", finish: "stop") + done
  static let callsEnding = chunk("{}", finish: "tool_calls") + done

  /// An answer with the given parts between its opening and its end.
  static func answer(_ parts: Part...) -> [Part] {
    [.bytes(opening)] + parts + [.bytes(ending)]
  }
}
