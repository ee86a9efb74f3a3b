import AsyncHTTPClient
import ClusterModel
import CommandLineCore
import Foundation
import NIOCore
import NIOHTTP1
import Text

/// Sends a question to the gateway and reads the streamed answer.
struct AnswerReading: Sendable {
  let client: ClusterClient
  /// Seconds for the whole answer.
  let timeout: Int

  /// Prints the answer while it arrives.
  ///
  /// If the task is cancelled, the request is cancelled, too, and the call throws.
  ///
  /// - Returns: id of the trace, from the answer's header.
  func read(_ body: AskBody, into transcript: inout AskTranscript) async throws -> String? {
    let url = client.address.gateway + "/v1/chat/completions"
    let deadline = ContinuousClock.now.advanced(by: .seconds(timeout))
    let response = try await client.open(
      .POST, url, token: client.clientKey?.revealed, json: try body.encoded(),
      timeout: .seconds(Int64(timeout)))
    guard response.status == .ok else {
      var body = Data()
      do {
        // A Tutti service sends one sentence as an error, so a body above 1 MiB comes from other
        // software.
        body = Data(try await response.body.collect(upTo: 1 << 20).readableBytesView)
      } catch {
        body = Data()
      }
      throw client.clientFailure(status: Int(response.status.code), body: body, url: url)
    }
    do {
      try await follow(response.body, &transcript, until: deadline)
    } catch let failure as ProcessFailure {
      transcript.endLine()
      throw failure
    } catch {
      transcript.endLine()
      throw ProcessFailure(
        .failed, "the answer of \(url) broke off (\(ErrorSentence.problem(error).sentence))")
    }
    transcript.endLine()
    guard transcript.isComplete else {
      throw ProcessFailure(.failed, "the answer was cut off; ask again")
    }
    return response.headers.first(name: "x-tutti-trace")
  }

  /// Reads the answer to its end, and redraws the progress meanwhile.
  private func follow(
    _ body: HTTPClientResponse.Body, _ transcript: inout AskTranscript,
    until deadline: ContinuousClock.Instant
  ) async throws {
    enum Signal {
      case bytes(ByteBuffer)
      case tick
      case broke(any Error)
      case overdue
    }
    let (signals, source) = AsyncStream<Signal>.makeStream()
    let isLive = transcript.isLive
    try await withThrowingTaskGroup(of: Void.self) { group in
      defer { group.cancelAll() }
      group.addTask {
        do {
          for try await buffer in body { source.yield(.bytes(buffer)) }
        } catch {
          source.yield(.broke(error))
        }
        source.finish()
      }
      group.addTask {
        if (try? await Task.sleep(until: deadline, clock: .continuous)) != nil {
          source.yield(.overdue)
        }
      }
      if isLive {
        group.addTask {
          while (try? await Task.sleep(for: ProgressTree.frame)) != nil { source.yield(.tick) }
        }
      }
      var events = SSESplitter(keepsComments: true)
      for await signal in signals {
        switch signal {
        case .tick: transcript.tick()
        case .broke(let error): throw error
        case .overdue:
          throw ProcessFailure(
            .tryLater, "the answer was not complete within \(timeout) s; allow more with --timeout")
        case .bytes(let buffer):
          let complete: [SSEEvent]
          do throws(SSESplitter.TooLarge) {
            complete = try events.append(buffer.readableBytesView)
          } catch {
            throw ProcessFailure(
              .failed, "the server sent an event of more than \(error.limit >> 20) MiB")
          }
          for event in complete { try transcript.take(event) }
        }
      }
    }
  }
}
