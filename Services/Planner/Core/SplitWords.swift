/// Words that tell a list of tasks from a list of other things.
enum SplitWords {
  /// What asks for a text, at the beginning of a sentence or of one of its clauses.
  static let commands: Set<String> = [
    "analyse", "analyze", "answer", "assess", "brainstorm", "build", "calculate", "cite",
    "classify",
    "compare", "compile", "compose", "compute", "contrast", "convert", "create", "critique",
    "debug", "define", "derive", "describe", "design", "develop", "diagnose", "discuss", "draft",
    "draw", "estimate", "evaluate", "examine", "explain", "explore", "extract", "find", "fix",
    "generate", "give", "identify", "illustrate", "implement", "interpret", "invent", "investigate",
    "justify", "list", "make", "name", "optimise", "optimize", "outline", "paraphrase", "plan",
    "predict", "prepare", "present", "produce", "propose", "prove", "provide", "rank", "recommend",
    "refactor", "research", "review", "rewrite", "sketch", "solve", "sort", "suggest", "summarise",
    "summarize", "tell", "translate", "write",
  ]

  /// What asks for running text about something.
  static let telling: Set<String> = [
    "analyse", "analyze", "assess", "cover", "define", "describe", "discuss", "evaluate", "examine",
    "explain", "explore", "illustrate", "introduce", "investigate", "outline", "present",
    "research", "review", "summarise", "summarize", "translate",
  ]

  /// One result over all of the items: nothing to split.
  static let overall: Set<String> = [
    "average", "best", "between", "choose", "combine", "compare", "comparing", "comparison",
    "contrast", "count", "difference", "differences", "group", "interact", "merge", "mix", "order",
    "pick", "prioritise", "prioritize", "rank", "relate", "relationship", "schedule", "select",
    "similarities", "sort", "sum", "together", "total", "versus", "vs", "which",
  ]

  /// What closes a list of tasks by something over all of them.
  static let closing: Set<String> = [
    "compare", "comparison", "conclude", "conclusion", "combine", "contrast", "overall", "rank",
    "recommend", "recommendation", "summarise", "summarize", "summary", "synthesise", "synthesize",
  ]

  /// What a list of conditions is called, or how it is announced.
  static let conditions: Set<String> = [
    "assumptions", "conditions", "constraints", "context", "criteria", "data", "details", "facts",
    "features", "format", "given", "guidelines", "ingredients", "must", "notes", "options",
    "preferences", "properties", "requirements", "rules", "should", "specifications",
  ]

  /// How a condition begins.
  static let conditionOpeners: Set<String> = [
    "all", "always", "at", "avoid", "be", "do", "don't", "each", "every", "has", "have", "include",
    "includes", "it", "its", "keep", "keeps", "less", "limit", "make", "maximum", "minimum", "must",
    "never", "no", "not", "only", "should", "support", "supports", "the", "under", "up", "use",
    "uses", "with", "without",
  ]

  /// One text, whatever it is about: a list in its request says what is in it.
  static let singleWorks: Set<String> = [
    "ad", "advertisement", "app", "ballad", "class", "dialogue", "email", "function", "haiku",
    "joke", "letter", "limerick", "mail", "menu", "message", "paragraph", "poem", "post", "program",
    "prompt", "query", "recipe", "regex", "scene", "schedule", "script", "sentence", "slogan",
    "song", "sonnet", "speech", "story", "tale", "toast", "tweet", "website",
  ]

  /// Texts that are made of sections which stand beside each other.
  static let sectioned: Set<String> = [
    "analysis", "article", "brief", "briefing", "brochure", "chapter", "curriculum",
    "documentation", "encyclopedia", "faq", "guide", "handbook", "handout", "introduction",
    "lesson", "manual", "newsletter", "overview", "paper", "plan", "primer", "profile", "proposal",
    "report", "review", "study", "summary", "textbook", "tutorial", "whitepaper",
  ]

  /// What says that every one of several is meant.
  static let distributive: Set<String> = [
    "both", "each", "every", "following", "individually", "respectively", "separate", "separately",
  ]

  static let questionWords: Set<String> = [
    "are", "can", "could", "did", "do", "does", "how", "is", "should", "was", "were", "what",
    "when", "where", "which", "who", "whom", "whose", "why", "will", "would",
  ]

  /// Before a command, without a meaning of their own.
  static let leads: Set<String> = [
    "additionally", "afterwards", "also", "and", "can", "could", "finally", "first", "firstly",
    "furthermore", "kindly", "lastly", "next", "please", "second", "secondly", "then", "third",
    "thirdly", "would", "you", "now", "plus", "separately", "to", "i", "want", "need", "like", "me",
    "help",
  ]
}
