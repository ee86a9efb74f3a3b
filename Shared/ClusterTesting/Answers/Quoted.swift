/// Encodes a text as a JSON string, without the code under test.
func quoted(_ text: String) -> String {
  var result: [UInt8] = [UInt8(ascii: "\"")]
  for byte in text.utf8 {
    switch byte {
    case UInt8(ascii: "\""): result += Array(#"\""#.utf8)
    case UInt8(ascii: "\\"): result += Array(#"\\"#.utf8)
    case 0x0A: result += Array(#"\n"#.utf8)
    case 0x0D: result += Array(#"\r"#.utf8)
    case 0x09: result += Array(#"\t"#.utf8)
    default: result.append(byte)
    }
  }
  result.append(UInt8(ascii: "\""))
  return String(decoding: result, as: UTF8.self)
}
