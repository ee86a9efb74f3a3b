import ClusterModel

/// Whether a query is about program text. A wrong guess costs little: the ensemble's first member
/// is then a coder.
/// - Parameter query: looked at up to 64 KiB, which is what a planner is given.
func looksLikeCode(_ query: String) -> Bool {
  if query.contains("```") { return true }
  var score = 0
  var seen: Set<Substring> = []
  let lower = query.cut(toBytes: 64 * 1024).lowercased()
  for word in lower.split(whereSeparator: { !($0.isLetter || $0.isNumber || "#+_".contains($0)) })
  where codeWords.contains(word) && seen.insert(word).inserted {
    score += 1
  }
  for sign in codeSigns where lower.contains(sign) { score += 1 }
  return score >= 2
}

/// "function" or "class" alone may be mathematics or a school: two of these make it code.
private let codeWords: Set<Substring> = [
  "algorithm", "api", "async", "bash", "bug", "c++", "class", "code", "coding", "compile",
  "compiler", "css", "debug", "def", "exception", "func", "function", "golang", "html",
  "implement", "java", "javascript", "json", "kotlin", "loop", "method", "program", "programming",
  "python", "refactor", "regex", "ruby", "rust", "script", "shell", "sql", "stacktrace", "swift",
  "traceback", "typescript", "unittest", "variable", "yaml",
]

/// Hardly ever found outside program text.
private let codeSigns = [
  "#include", "();", "{\n", "};", "=>", "->", "==", "!=", "</", "import ", "select * ",
]
