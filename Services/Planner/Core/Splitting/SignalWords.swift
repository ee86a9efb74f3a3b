/// Words and phrases that `SplitSignals` counts.
enum SignalWords {
  static let explaining: Set<String> = ["does", "how", "pourquoi", "warum", "what", "why"]
  static let steps: Set<String> = ["etape", "paso", "schritt", "step", "étape"]
  static let translating: Set<String> = [
    "localise", "localize", "port", "subtitles", "traduce", "traduire", "traduis", "translate",
    "translation", "translations", "übersetze", "übersetzen", "übersetzung",
  ]
  /// Words before the source of a translation.
  static let sources: Set<String> = ["aus", "de", "from", "our", "the", "this", "vom"]
  /// Words before the target languages.
  static let into: Set<String> = [
    "al", "as", "auf", "en", "for", "in", "ins", "into", "nach", "para", "to", "zu",
  ]
  /// Words within a list of target languages that are not languages.
  static let rowWords: Set<String> = [
    "all", "both", "each", "following", "language", "languages", "of", "sprachen", "the", "these",
  ]
  static let joints: Set<String> = ["and", "et", "oder", "or", "ou", "und", "y"]
  /// First words of lines that count as parallel blocks if several lines begin alike: "As a user
  /// …".
  static let openers: Set<String> = ["als", "as", "def", "for", "func", "to"]
  static let distributive: Set<String> = [
    "apiece", "chacun", "chacune", "chaque", "cada", "each", "every", "individually", "jede",
    "jedem", "jeden", "jeder", "jedes", "jeweils", "respectively", "separate", "separately",
  ]
  static let distributivePhrases = [
    "one by one", "the same for", "on its own", "for all of them", "stand alone",
    "independent of each other", "own chapter", "eigenes kapitel", "these topics", "for both",
  ]
  static let sized: Set<String> = [
    "ausformuliert", "ausführlich", "ausführliche", "ausführliches", "complete", "comprehensive",
    "depth", "detail", "detailed", "détaillé", "détaillée", "detallado", "detailliert", "full",
    "length", "thorough",
  ]
  static let sizeUnits: Set<String> = [
    "absätze", "lines", "min", "minutes", "minuten", "mots", "pages", "page", "palabras",
    "paragraph", "paragraphs", "sätze", "seiten", "sentences", "words", "wörter", "wörtern",
    "zeilen",
  ]
  static let numerals: Set<String> = [
    "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "several",
    "zwei", "drei", "vier", "fünf", "deux", "trois", "quatre", "dos", "tres", "cuatro",
  ]
  static let sections: Set<String> = [
    "abschnitt", "abschnitte", "abschnitten", "chapitre", "chapitres", "chapter", "chapters",
    "capítulo", "capítulos", "headings", "kapitel", "kapiteln", "modules", "scenarios", "section",
    "sections", "secciones", "topics",
  ]
  static let languages: Set<String> = [
    "arabic", "c#", "c++", "chinese", "croatian", "czech", "danish", "dutch", "dänische", "english",
    "englische", "finnish", "french", "französische", "german", "go", "greek", "hindi", "hungarian",
    "italian", "italienische", "japanese", "java", "javascript", "korean", "kotlin", "mandarin",
    "niederländische", "norwegian", "polish", "polnische", "portuguese", "python", "romanian",
    "ruby",
    "russian", "rust", "spanish", "spanische", "swedish", "swift", "turkish", "ukrainian",
    "vietnamese", "anglais", "allemand", "espagnol", "italien", "inglés", "francés", "alemán",
    "de-de", "fr-fr",
  ]
  static let works: Set<String> = [
    "account", "agenda", "announcement", "application", "article", "briefing", "brief", "brochure",
    "budget", "calculator", "checklist", "concept", "contract", "description", "document", "email",
    "essay", "fachartikel", "faq", "forecast", "function", "guide", "history", "instruction",
    "invitation", "invoice", "konzept", "lesson", "letter", "mail", "manual", "memo", "minute",
    "mitteilung", "model", "module", "newsletter", "note", "notice", "obituary", "outline", "plan",
    "playbook", "policy", "poem", "post", "presentation", "profile", "programme", "proposal",
    "quiz",
    "recipe", "release", "reply", "report", "schema", "schreiben", "script", "schulungskonzept",
    "slide", "speech", "statement", "survey", "tagline", "template", "test", "training", "tutorial",
    "workflow", "workshop",
  ]
  static let sequence: Set<String> = [
    "backwards", "beweise", "beweisen", "debug", "derivation", "derive", "deduce", "démontre",
    "demuestra", "induktion", "induction", "proof", "prove", "puzzle", "recipe", "solve",
  ]
  static let sequencePhrases = [
    "step by step", "step-by-step", "each step", "every step", "one step after",
    "schritt für schritt",
    "étape par étape", "paso a paso", "walk me through", "work out", "that result", "the result",
    "in this order", "from what", "exactly this",
  ]
  static let extraction: Set<String> = [
    "classify", "correct", "count", "extract", "extrae", "extrahiere", "find", "liste", "mark",
    "nenne", "pull", "rate", "return", "sort", "tag", "which", "extrais", "welche",
  ]
}
