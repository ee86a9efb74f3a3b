/// Words that distinguish a list of tasks from a list of other things.
enum SplitWords {
  /// Verbs that ask for a text, at the start of a sentence or clause.
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

  /// Verbs that ask for running text about a subject.
  static let proseVerbs: Set<String> = [
    "analyse", "analyze", "assess", "cover", "define", "describe", "discuss", "evaluate", "examine",
    "explain", "explore", "illustrate", "introduce", "investigate", "outline", "present",
    "research", "review", "summarise", "summarize", "translate",
  ]

  /// Words that ask for one result over all items, so there is nothing to split.
  static let overall: Set<String> = [
    "average", "best", "between", "choose", "combine", "compare", "comparing", "comparison",
    "contrast", "count", "difference", "differences", "group", "interact", "merge", "mix", "order",
    "pick", "prioritise", "prioritize", "rank", "relate", "relationship", "schedule", "select",
    "similarities", "sort", "sum", "together", "total", "versus", "vs", "which",
  ]

  /// Words of a closing task over all items of a list.
  static let closing: Set<String> = [
    "compare", "comparison", "conclude", "conclusion", "combine", "contrast", "overall", "rank",
    "recommend", "recommendation", "summarise", "summarize", "summary", "synthesise", "synthesize",
  ]

  /// Words that announce a list of conditions, such as "constraints" or "must".
  static let conditions: Set<String> = [
    "assumptions", "conditions", "constraints", "context", "criteria", "data", "details", "facts",
    "features", "format", "given", "guidelines", "ingredients", "must", "notes", "options",
    "preferences", "properties", "requirements", "rules", "should", "specifications",
  ]

  /// First words of a condition.
  static let conditionOpeners: Set<String> = [
    "all", "always", "at", "avoid", "be", "do", "don't", "each", "every", "has", "have", "include",
    "includes", "it", "its", "keep", "keeps", "less", "limit", "make", "maximum", "minimum", "must",
    "never", "no", "not", "only", "should", "support", "supports", "the", "under", "up", "use",
    "uses", "with", "without",
  ]

  /// Kinds of text that are not split. A list in such a request only describes the text's content.
  static let singleWorks: Set<String> = [
    "ad", "advertisement", "app", "ballad", "class", "dialogue", "email", "function", "haiku",
    "joke", "letter", "limerick", "mail", "menu", "message", "paragraph", "poem", "post", "program",
    "prompt", "query", "recipe", "regex", "scene", "schedule", "script", "sentence", "slogan",
    "song", "sonnet", "speech", "story", "tale", "toast", "tweet", "website",
  ]

  /// Kinds of text that consist of parallel sections.
  static let sectioned: Set<String> = [
    "analysis", "article", "brief", "briefing", "brochure", "chapter", "curriculum",
    "documentation", "encyclopedia", "faq", "guide", "handbook", "handout", "introduction",
    "lesson", "manual", "newsletter", "overview", "paper", "plan", "primer", "profile", "proposal",
    "report", "review", "study", "summary", "textbook", "tutorial", "whitepaper",
  ]

  /// Words that address every one of several items.
  static let distributive: Set<String> = [
    "both", "each", "every", "following", "individually", "respectively", "separate", "separately",
  ]

  static let questionWords: Set<String> = [
    "are", "can", "could", "did", "do", "does", "how", "is", "should", "was", "were", "what",
    "when", "where", "which", "who", "whom", "whose", "why", "will", "would",
  ]

  /// Filler words before a command.
  static let leads: Set<String> = [
    "additionally", "afterwards", "also", "and", "can", "could", "finally", "first", "firstly",
    "furthermore", "kindly", "lastly", "next", "please", "second", "secondly", "then", "third",
    "thirdly", "would", "you", "now", "plus", "separately", "to", "i", "want", "need", "like", "me",
    "help",
  ]
}
