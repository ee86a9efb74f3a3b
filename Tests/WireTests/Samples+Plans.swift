import BusCore
import ClusterModel

extension Samples {
  /// A task in which every optional field is set.
  private static let asking = PlanTask(
    id: "p1", role: .research, contract: .json(schema: #"{"type":"é\n"}"#), onFailure: .degrade,
    model: "m1", maxTokens: 64, deadlineShare: 40, temperatureMilli: 0, profile: .extraction,
    seed: 3, dataPolicy: .trusted, readsConversation: false, documents: ["d1", "d2"],
    documentPart: DocumentPart(number: 2, count: 5),
    expansion: "repair", mark: "Reply:", asking: .variation, stage: 2)

  private static let plan = Plan(
    id: "plan-1", pattern: "tutti/ensemble",
    tasks: [
      asking,
      PlanTask(
        id: "sink", role: .coordinator, instruction: text,
        inputs: [Edge(from: "p1", name: "Answer 1")], merge: .synthesise, onFailure: .skip,
        quorum: 1, deadline: .milliseconds(1_500)),
    ], sink: "sink", seed: 5, deadline: .seconds(60), reason: "two questions", expansions: 2,
    estimate: PlanEstimate(
      decision: .split,
      direct: .init(milliseconds: 9_800, writingMilliseconds: 9_000, tokens: 400),
      split: .init(milliseconds: 4_100, writingMilliseconds: 3_600, tokens: 420)))

  private static let request = PlanRequest(
    pattern: "tutti/ensemble", query: text, models: ["m1"], members: 3, rounds: 2, quorum: 2,
    seed: .max, maxTokens: 100, available: ["m1", "m2"], budgetTokens: 1 << 40,
    dataPolicy: .trusted,
    hosts: [
      HostFacts(
        id: "h1", models: ["m1", "m2"], freeSlots: 3, rateMilli: 12_500,
        firstTokenMilliseconds: 80, slowdownPercent: 0, contextTokens: ["m2": 131_072]),
      HostFacts(id: "h2", models: [], freeSlots: 0),
    ], documents: [DocumentFacts(name: "d1", bytes: 1 << 33)], conversationTokens: 1 << 34,
    isStructured: true, correction: EstimateCorrection(directPercent: 90, splitPercent: 180),
    hasTools: true, hasEmbedder: true, temperatureMilli: 0, skills: [skill], gains: [gain])

  private static let skill = ModelSkill(
    model: "m1", kind: .closed, draftedMilli: 20_500, chosenMilli: 9_000, agreedMilli: 3_000,
    repairedMilli: 1_000, rejectedMilli: 2_000)
  private static let gain = PatternGain(
    pattern: "tutti/ensemble", model: "m1", kind: .json, choicesMilli: 7_250, gainSum: -300,
    gainSquares: 90_000, extraTokens: 1 << 33)
  private static let choice = ChoiceFacts(
    kind: .code, basis: .onlyDraft, confidenceMilli: 0, anchor: "p2", isEarly: true,
    drafts: [
      ChoiceFacts.Draft(
        task: "p2", model: "m1", outcome: .chosen, supportMilli: 2_000, completionTokens: 40,
        reason: ""),
      ChoiceFacts.Draft(
        task: "p3", model: "é", outcome: .rejected, supportMilli: 0, completionTokens: 0,
        reason: text),
    ])

  private static let inputs = [
    TaskOrder.NamedInput(name: "Answer 1", text: text, weightMilli: 0),
    TaskOrder.NamedInput(name: "Answer 2", text: "b", weightMilli: 1_000),
    TaskOrder.NamedInput(name: "Answer 3", text: "c"),
  ]

  private static let documents = [
    Document(name: "d1", text: text), Document(name: "d2", text: ""),
  ]

  /// Tasks for every contract, and for the merge rules and profiles that the tasks above lack.
  private static let subPlan = SubPlan(
    tasks: [
      PlanTask(id: "s1", role: .code, contract: .choice(["yes", "no é"]), profile: .factual),
      PlanTask(
        id: "s2", role: .critic, inputs: [Edge(from: "s1", name: "a")], merge: .summarise,
        contract: .vector, profile: .creative),
      PlanTask(
        id: "s3", role: .reasoning, inputs: [Edge(from: "s2", name: "a")], merge: .concatenate,
        profile: .code, documents: [PlanTask.everyDocument]),
      PlanTask(
        id: "s4", role: .creative, inputs: [Edge(from: "s3", name: "a")], merge: .replace,
        profile: .reasoning),
      PlanTask(
        id: "s5", role: .coordinator, inputs: [Edge(from: "s4", name: "a")], merge: .vote,
        contract: .json(schema: "")),
      PlanTask(
        id: "s6", role: .coordinator, inputs: [Edge(from: "s5", name: "a")], merge: .agree),
      PlanTask(
        id: "s7", role: .coordinator,
        inputs: [
          Edge(from: "s4", name: "a", weightMilli: 1),
          Edge(from: "s5", name: "b", use: .revision, weightMilli: 500),
          Edge(from: "s6", name: "c", use: .meanings),
        ], merge: .choose, asking: .client, kind: .documents),
    ], output: "s7")

  private static let conversation = Conversation(
    messagesJSON: Array(#"[{"role":"user","content":"é"}]"#.utf8),
    parameters: [Conversation.Parameter(name: "stop", json: Array(#"["\n"]"#.utf8))])

  private static let report = TaskReport(
    host: "h1", model: "m1",
    usage: Usage(promptTokens: 10, cachedTokens: 4, completionTokens: 20, estimated: true),
    firstTokenMilliseconds: 30, totalMilliseconds: 400, finishReason: "stop", output: text,
    inferences: [
      TaskInference(
        model: "m1",
        usage: Usage(promptTokens: 6, cachedTokens: 4, completionTokens: 20, estimated: true),
        attempts: [
          PaidAttempt(host: "h2", model: "é", tokens: 3, outcome: .beaten),
          PaidAttempt(host: "h3", model: "m1", tokens: 5, outcome: .failed),
          PaidAttempt(
            host: "h1", model: "m1", tier: .fallback, tokens: 5_000_000, outcome: .delivered),
        ]),
      TaskInference(model: "é", usage: .zero, attempts: []),
    ])

  private static let broken = TaskReport(
    host: "h1", model: "m1", usage: .zero, firstTokenMilliseconds: 1, totalMilliseconds: 2,
    finishReason: "length", output: "{", contractMet: false)

  private static let began = TaskBegan(
    host: "h1", model: "m1", firstTokenMilliseconds: 30,
    excerpts: [
      DocumentExcerpt(document: "d1", bytes: 5_000_000_000, readBytes: 24_000),
      DocumentExcerpt(document: "é", bytes: 7, readBytes: 0),
    ])

  /// Messages about plans and their tasks.
  static let planBodies: [(String, Body)] = [
    ("plan_request", .planRequest(request)),
    ("plan", .plan(plan)),
    (
      "expand_request",
      .expandRequest(
        ExpandRequest(plan: plan, task: "p1", output: text, inputs: inputs, request: request))
    ),
    ("sub_plan", .subPlan(subPlan)),
    ("sub_plan_empty", .subPlan(.nothing(after: "p1"))),
    (
      "run_plan",
      .runPlan(
        PlanOrder(
          plan: plan, conversation: conversation, finished: ["p1": report],
          skipped: [
            "p2": .init(
              reason: text, usage: Usage(promptTokens: 5, completionTokens: 6, estimated: true))
          ], dataPolicy: .local, pools: HostPools(["gpu", "eu"]),
          models: AllowedModels(["m2", "m1"]), request: request, documents: documents,
          client: "key é",
          sinkPrefix: text, dispatch: 2))
    ),
    (
      "run_plan_small",
      .runPlan(
        PlanOrder(
          plan: Plan(
            id: "plan-2", pattern: "tutti/auto", tasks: [PlanTask(id: "t", role: .reasoning)],
            sink: "t", seed: 0, deadline: .seconds(1)), conversation: conversation))
    ),
    (
      "plan_event_started",
      .planEvent(.started(task: "p1", role: .critic, agent: "agent-critic-1", attempt: 2))
    ),
    ("plan_event_first_token", .planEvent(.firstToken(task: "p1", began))),
    (
      "plan_event_ended",
      .planEvent(
        .ended(
          TaskEnded(
            task: "p1", role: .code, agent: "agent-code-1", status: .degraded, reason: "one input",
            report: report, textOf: "p2", choice: choice)))
    ),
    (
      "plan_event_failed",
      .planEvent(.ended(TaskEnded(task: "p1", role: .creative, agent: "", status: .failed)))
    ),
    ("plan_event_expanded", .planEvent(.expanded(task: "p1", subPlan))),
    ("plan_event_delta", .planEvent(.delta(TaskDelta(text: text)))),
    (
      "plan_event_finished",
      .planEvent(
        .finished(
          PlanFinished(
            finishReason: "length", usage: Usage(promptTokens: 1, completionTokens: 2),
            sinkUsage: .zero)))
    ),
    (
      "plan_costs",
      .planCosts(
        PlanCosts(trace: trace, dispatch: 2, tasks: [.init(task: "p1", report: report)]))
    ),
    ("plan_costs_empty", .planCosts(PlanCosts(trace: trace, dispatch: 1, tasks: []))),
    (
      "run_task",
      .runTask(
        TaskOrder(
          plan: "plan-1", task: plan.tasks[1], conversation: conversation,
          inputs: inputs, isSink: true,
          dataPolicy: .any, pools: HostPools(["gpu"]), models: AllowedModels(["org/m"]),
          avoidHosts: ["h2", "h3"],
          terms: InferenceTerms(
            race: .hedged, firstToken: .milliseconds(700), interToken: .milliseconds(500),
            minimumRate: 1.5), documents: documents, prefix: text,
          host: "h1", sparesTokens: true, isPart: true, client: "0123456789abcdef"))
    ),
    ("task_event_began", .taskEvent(.began(began))),
    (
      "task_event_delta",
      .taskEvent(.delta(TaskDelta(text: "", deltaJSON: Array(#"{"tool_calls":[]}"#.utf8))))
    ),
    ("task_event_finished", .taskEvent(.finished(report))),
    ("task_event_broken_contract", .taskEvent(.finished(broken))),
    ("skill_report", .skillReport(SkillReport(pattern: "tutti/debate", choice: choice))),
    (
      "skill_report_empty",
      .skillReport(
        SkillReport(
          pattern: "",
          choice: ChoiceFacts(
            kind: .prose, basis: .anchor, confidenceMilli: nil, anchor: nil, isEarly: false,
            drafts: [])))
    ),
    (
      "skill_table",
      .skillTable(SkillTable(epoch: 9, revision: 3, skills: [skill], gains: [gain]))
    ),
    ("skill_table_empty", .skillTable(.empty)),
  ]
}
