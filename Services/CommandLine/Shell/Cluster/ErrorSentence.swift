import AsyncHTTPClient
import CommandLineCore
import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// Describes errors of libraries and of the system for a person at a terminal.
enum ErrorSentence {
  static func problem(_ error: any Error) -> ConnectionProblem {
    switch error {
    case let error as HTTPClientError: problem(error)
    case let error as NIOConnectionError:
      // If the name was resolved, there is an error for each of its addresses.
      error.connectionErrors.first.map { problem($0.error) } ?? .unknownName
    case let error as IOError: problem(errno: error.errnoCode)
    case let error as NIOSSLError: error == .uncleanShutdown ? .closedEarly : .encryption
    case is NIOSSLExtraError: .encryption
    case is NIOTooManyBytesError: .tooLong
    case let error as ChannelError: problem(error)
    default: .other
    }
  }

  private static func problem(_ error: HTTPClientError) -> ConnectionProblem {
    switch error {
    case .connectTimeout: .unreachable
    case .deadlineExceeded, .readTimeout, .writeTimeout: .timedOut
    case .tlsHandshakeTimeout: .encryption
    case .remoteConnectionClosed, .uncleanShutdown: .closedEarly
    default: .other
    }
  }

  private static func problem(_ error: ChannelError) -> ConnectionProblem {
    if case .connectTimeout = error { .unreachable } else { .other }
  }

  private static func problem(errno code: CInt) -> ConnectionProblem {
    switch code {
    case ECONNREFUSED: .refused
    case ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, ENETDOWN, EADDRNOTAVAIL: .unreachable
    case ECONNRESET, EPIPE: .closedEarly
    default: .other
    }
  }

  /// A clause for an error of a file, for example "the disk is full".
  static func of(file error: any Error) -> String {
    switch error {
    case let error as POSIXError: of(errno: error.code.rawValue)
    case let error as CocoaError:
      switch error.code {
      case .fileNoSuchFile, .fileReadNoSuchFile: of(errno: ENOENT)
      case .fileReadNoPermission, .fileWriteNoPermission: of(errno: EACCES)
      case .fileWriteOutOfSpace: of(errno: ENOSPC)
      case .fileWriteVolumeReadOnly: of(errno: EROFS)
      default: of(errno: 0)
      }
    default: of(errno: 0)
    }
  }

  /// A clause for an error number of the system.
  static func of(errno code: CInt) -> String {
    switch code {
    case EACCES, EPERM: "this user may not do that"
    case EDQUOT: "the user's share of the disk is used up"
    case EFBIG: "the file is larger than this system permits"
    case EIO: "the device reports an error"
    case EISDIR: "it is a directory"
    case EMFILE, ENFILE: "too many files are open"
    case ENOENT: "it does not exist"
    case ENOEXEC: "it is not a program for this machine"
    case ENOMEM, EAGAIN: "the machine has too little memory or too many processes"
    case ENOSPC: "the disk is full"
    case ENOTDIR: "a part of its path is not a directory"
    case EROFS: "the disk is read-only"
    default: "the system refuses it"
    }
  }
}
