import ClusterModel
import GatewayCore
import Testing
import Text

private let plan = Plan.twoDrafts

@Suite("A plan that is shown and not run")
struct PlanPreviewTests {
  @Test("it has every task with what makes it this task, and the three pictures")
  func whole() throws {
    var shown = plan
    shown.tasks[2].contract = .choice(["yes", "no"])
    shown.tasks[1].documents = [PlanTask.everyDocument]
    shown.tasks[0].model = "m"
    shown.tasks[0].instruction = "Say \"hi\"."
    let request = try parse(#"{"model":"tutti/ensemble",\#(hello)}"#)
    let figures = PlanFigures(of: shown, for: request, hosts: [], price: nil)
    let json = text(PlanPreview.json(shown, figures).encoded)
    for part in [
      #""pattern":"tutti/ensemble""#, #""sink":"s""#, #""seed":"7""#, #""deadline_ms":60000"#,
      #""inputs":[{"from":"p1","name":"Draft 1"},{"from":"p2","name":"Draft 2"}]"#,
      #""contract":{"kind":"choice","words":["yes","no"]}"#, #""documents":["*"]"#,
      #""model":"m""#, #""instruction":"Say \"hi\".""#, #""on_failure":"skip""#,
    ] {
      #expect(json.contains(part), "\(part) in \(json)")
    }
    let document = try JSONObjectScanner(Array(json.utf8))
    #expect(document.members.map(\.name) == ["plan", "figures", "text", "mermaid", "graphviz"])
    let shownText = document["text"].flatMap(document.document.string)
    #expect(shownText?.hasPrefix("\(shown.text)costs: ") == true)
    #expect(document["mermaid"].flatMap(document.document.string) == shown.mermaid)
    #expect(document["graphviz"].flatMap(document.document.string) == shown.graphviz)
  }

  @Test("an absent estimate has a reason")
  func none() throws {
    let request = try parse(#"{"model":"tutti/auto",\#(hello)}"#)
    let figures = PlanFigures(directlyFor: request, model: nil, hosts: [], price: nil)
    let json = text(PlanPreview.direct(reason: "the question is short", figures).encoded)
    #expect(json.hasPrefix(#"{"plan":null,"reason":"the question is short""#))
    #expect(json.contains("direct: the question is short\\ncosts: 1 call, about "))
  }
}
