import ClusterModel
import Limits
import Money

// Accounts, prices and the ledger in the admin API's description. Each part is a run of members.

/// Errors of every route.
private let errors = #"""
  "401": {"$ref": "#/components/responses/Error"},
              "403": {"$ref": "#/components/responses/Error"},
              "429": {"$ref": "#/components/responses/Error"},
              "500": {"$ref": "#/components/responses/Error"},
              "503": {"$ref": "#/components/responses/Error"}
  """#

/// Errors of a route with parameters.
private let inputErrors = ##""400": {"$ref": "#/components/responses/Error"}, "## + errors

/// Errors of a route with a body.
private let bodyErrors = ##""413": {"$ref": "#/components/responses/Error"}, "## + inputErrors

private func answer(_ schema: String, status: Int = 200, tagged: Bool = false) -> String {
  let header =
    tagged
    ? #""headers": {"ETag": {"schema": {"type": "string"}}}, "# : ""
  return #""\#(status)": {"description": "Done", \#(header)"content": {"application/json": "#
    + ##"{"schema": {"$ref": "#/components/schemas/\##(schema)"}}}}"##
}

private func list(of schema: String, next: Bool = false) -> String {
  let cursor = next ? #", "next": {"type": ["string", "null"]}"# : ""
  return #""200": {"description": "A page", "content": {"application/json": {"schema": "#
    + #"{"type": "object", "required": ["object", "data", "has_more"], "properties": {"#
    + #""object": {"const": "list"}, "has_more": {"type": "boolean"}\#(cursor), "#
    + ##""data": {"type": "array", "items": {"$ref": "#/components/schemas/\##(schema)"}}}}}}}"##
}

private func body(_ schema: String) -> String {
  #""requestBody": {"required": true, "content": {"application/json": {"schema": "#
    + ##"{"$ref": "#/components/schemas/\##(schema)"}}}}"##
}

private func query(_ name: String, _ schema: String, _ description: String) -> String {
  #"{"name": "\#(name)", "in": "query", "description": "\#(description)", "schema": \#(schema)}"#
}

private let text = #"{"type": "string"}"#
private let time =
  #"{"type": "integer", "minimum": 0, "maximum": \#(UTCDate.times.upperBound)}"#
private let limit = query(
  "limit", #"{"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}"#,
  "Length of a page")
private let after = query("after", text, "Last id of the previous page")
private let offset = query(
  "offset",
  #"{"type": "integer", "minimum": 0, "maximum": \#(Limits.priceRows.value), "default": 0}"#,
  "Rows to leave out")
private let format = query(
  "format", #"{"enum": ["csv", "jsonl"], "default": "jsonl"}"#, "Form of the lines")
private let ledgerFilters = [
  query("account", text, "Transactions with an entry of this account"),
  query("from_ms", time, "First time"), query("to_ms", time, "First time that is left out"),
  query("order", #"{"enum": ["asc", "desc"], "default": "desc"}"#, "By time"),
].joined(separator: ", ")
private let ifMatch =
  #"{"name": "If-Match", "in": "header", "schema": {"type": "string"}, "#
  + #""description": "ETag of the record that was read; 412 if another admin changed it"}"#
private let id =
  #"{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}"#
private let team =
  #"{"name": "team", "in": "path", "required": true, "schema": {"type": "string"}}"#
private let notFound = ##""404": {"$ref": "#/components/responses/Error"}"##
private let exists = ##""409": {"$ref": "#/components/responses/Error"}"##
private let changed = ##""412": {"$ref": "#/components/responses/Error"}"##

let accountPaths = #"""
        "/admin/v1/organisations": {
          "get": {"summary": "List organisations by id", "parameters": [\#(limit), \#(after)],
            "responses": {\#(list(of: "Organisation")), \#(inputErrors)}},
          "post": {"summary": "Create an organisation", \#(body("NewOrganisation")),
            "responses": {\#(answer("Organisation", status: 201, tagged: true)), \#(exists),
              \#(bodyErrors)}}
        },
        "/admin/v1/organisations/{id}": {
          "parameters": [\#(id)],
          "get": {"summary": "One organisation with its balance and the spending of its budgets",
            "responses": {\#(answer("Organisation", tagged: true)), \#(notFound), \#(errors)}},
          "patch": {"summary": "Change an organisation; absent members stay",
            "parameters": [\#(ifMatch)], \#(body("OrganisationChange")),
            "responses": {\#(answer("Organisation", tagged: true)), \#(notFound), \#(changed),
              \#(bodyErrors)}}
        },
        "/admin/v1/teams": {
          "get": {"summary": "List teams by id",
            "parameters": [\#(limit), \#(after),
              \#(query("organisation", text, "Teams of this organisation"))],
            "responses": {\#(list(of: "Team")), \#(inputErrors)}},
          "post": {"summary": "Create a team", \#(body("NewTeam")),
            "responses": {\#(answer("Team", status: 201, tagged: true)), \#(exists),
              \#(bodyErrors)}}
        },
        "/admin/v1/organisations/{id}/teams/{team}": {
          "parameters": [\#(id), \#(team)],
          "get": {"summary": "One team with the spending of its budgets",
            "responses": {\#(answer("Team", tagged: true)), \#(notFound), \#(errors)}},
          "patch": {"summary": "Change a team; absent members stay",
            "parameters": [\#(ifMatch)], \#(body("TeamChange")),
            "responses": {\#(answer("Team", tagged: true)), \#(notFound), \#(changed),
              \#(bodyErrors)}}
        },
        "/admin/v1/key-budgets/{id}": {
          "parameters": [\#(id)],
          "get": {"summary": "Budgets of one key with their spending",
            "responses": {\#(answer("KeyBudgets", tagged: true)), \#(notFound), \#(errors)}},
          "put": {"summary": "Replace the budgets of a key",
            "parameters": [\#(ifMatch)], \#(body("KeyBudgetsChange")),
            "responses": {\#(answer("KeyBudgets", tagged: true)), \#(notFound), \#(changed),
              \#(bodyErrors)}}
        },
        "/admin/v1/prices": {
          "get": {"summary": "List prices by model, host and time",
            "parameters": [\#(limit),
              \#(offset),
              \#(query("model", text, "Prices of this model"))],
            "responses": {\#(list(of: "Price")), \#(inputErrors)}},
          "post": {"summary": "Add a price; it replaces the present one from its time on",
            \#(body("NewPrice")),
            "responses": {\#(answer("Price", status: 201)), \#(bodyErrors)}}
        },
        "/admin/v1/tariff": {
          "get": {"summary": "Treatment of models without a price, and pay of race losers",
            "responses": {\#(answer("Tariff")), \#(errors)}},
          "patch": {"summary": "Change the tariff; absent members stay", \#(body("TariffChange")),
            "responses": {\#(answer("Tariff")), \#(bodyErrors)}}
        },
        "/admin/v1/transfers": {
          "post": {
            "summary": "Add or take back credits, record a payout, or correct the ledger; a repetition with the same id moves nothing and answers 200",
            \#(body("NewTransfer")),
            "responses": {\#(answer("Transfer")), \#(answer("Transfer", status: 201)), \#(exists),
              \#(bodyErrors)}}
        },
        "/admin/v1/ledger": {
          "get": {"summary": "List transactions by time",
            "parameters": [\#(limit), \#(ledgerFilters),
              \#(query("after", text, "Member next of the previous page"))],
            "responses": {\#(list(of: "Transaction", next: true)), \#(inputErrors)}}
        },
        "/admin/v1/ledger/balances": {
          "get": {"summary": "Balances of all accounts by name",
            "parameters": [\#(limit),
              \#(query("after", text, "Last account of the previous page")),
              \#(query("at_ms", time, "Includes entries of this time; default: all"))],
            "responses": {\#(list(of: "Balance")), \#(inputErrors)}}
        },
        "/admin/v1/ledger/balance": {
          "get": {"summary": "Balance of one account",
            "parameters": [
              {"name": "account", "in": "query", "required": true, "schema": \#(text),
               "description": "org/ID, holds/ID, host/ID, issued, margin or paid"},
              \#(query("at_ms", time, "Includes entries of this time; default: all"))],
            "responses": {\#(answer("Balance")), \#(inputErrors)}}
        },
        "/admin/v1/ledger/export": {
          "get": {"summary": "All transactions, the oldest first; CSV has one line per entry",
            "parameters": [
              \#(format),
              \#(ledgerFilters)],
            "responses": {
              "200": {"description": "The transactions", "content": {
                "application/jsonl": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}}}},
              \#(inputErrors)}}
        },
        "/admin/v1/ledger/verify": {
          "get": {"summary": "Prove the ledger: every transaction, lease and balance",
            "responses": {\#(answer("Verification")), \#(errors)}}
        },
  """#

private let amount =
  #"{"type": "string", "pattern": "^[0-9]+([.][0-9]{1,6})?$", "maxLength": \#(Limits.amountBytes.value), "#
  + #""description": "Credits with at most 6 decimals"}"#
private let signedAmount =
  #"{"type": "string", "pattern": "^-?[0-9]+([.][0-9]{1,6})?$", "#
  + #""description": "Credits with at most 6 decimals"}"#
private let accountID = #"{"type": "string", "pattern": "^[a-z0-9._-]{1,64}$"}"#
private let teamID =
  #"{"type": "string", "pattern": "^[a-z0-9._-]{1,64}/[a-z0-9._-]{1,64}$"}"#
private let name = #"{"type": "string", "minLength": 1, "maxLength": 256}"#
private let periods = BudgetPeriod.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
private let budgets =
  #"{"type": "array", "maxItems": \#(Limits.accountBudgets.value), "#
  + ##""items": {"$ref": "#/components/schemas/NewBudget"}}"##

let accountSchemas = #"""
        "NewBudget": {"type": "object", "additionalProperties": false,
          "required": ["amount", "period"],
          "properties": {"amount": \#(amount), "period": {"enum": [\#(periods)]},
            "window": {"enum": ["calendar", "rolling"], "default": "calendar",
              "description": "calendar: periods in UTC; rolling: the last period at any time"},
            "warnings": {"type": "array", "maxItems": \#(Limits.budgetWarnings.value),
              "items": {"type": "integer", "minimum": 1, "maximum": 1000},
              "description": "Thresholds in thousandths of the amount"}}},
        "Budget": {"type": "object",
          "required": ["amount", "period", "window", "warnings", "spent"],
          "properties": {"amount": \#(amount), "period": {"enum": [\#(periods)]},
            "window": {"enum": ["calendar", "rolling"]},
            "warnings": {"type": "array", "items": {"type": "integer"}},
            "spent": \#(amount)}},
        "NewOrganisation": {"type": "object", "additionalProperties": false, "required": ["id"],
          "properties": {"id": \#(accountID), "name": \#(name),
            "prepaid": {"type": "boolean", "default": false}, "budgets": \#(budgets)}},
        "OrganisationChange": {"type": "object", "additionalProperties": false,
          "properties": {"id": \#(accountID), "name": \#(name), "prepaid": {"type": "boolean"},
            "budgets": \#(budgets)}},
        "Organisation": {"type": "object",
          "required": ["object", "id", "name", "prepaid", "budgets", "balance", "held"],
          "properties": {"object": {"const": "organisation"}, "id": {"type": "string"},
            "name": {"type": "string"}, "prepaid": {"type": "boolean"},
            "budgets": {"type": "array", "items": {"$ref": "#/components/schemas/Budget"}},
            "balance": \#(signedAmount), "held": \#(signedAmount)}},
        "NewTeam": {"type": "object", "additionalProperties": false, "required": ["id"],
          "properties": {"id": \#(teamID), "name": \#(name), "budgets": \#(budgets)}},
        "TeamChange": {"type": "object", "additionalProperties": false,
          "properties": {"id": \#(teamID), "name": \#(name), "budgets": \#(budgets)}},
        "Team": {"type": "object", "required": ["object", "id", "name", "budgets"],
          "properties": {"object": {"const": "team"}, "id": {"type": "string"},
            "name": {"type": "string"},
            "budgets": {"type": "array", "items": {"$ref": "#/components/schemas/Budget"}}}},
        "KeyBudgetsChange": {"type": "object", "additionalProperties": false,
          "required": ["budgets"], "properties": {"budgets": \#(budgets)}},
        "KeyBudgets": {"type": "object", "required": ["object", "key", "budgets"],
          "properties": {"object": {"const": "key_budgets"}, "key": {"type": "string"},
            "budgets": {"type": "array", "items": {"$ref": "#/components/schemas/Budget"}}}},
        "NewPrice": {"type": "object", "additionalProperties": false,
          "required": ["model", "input", "output"],
          "properties": {"model": \#(name),
            "host": {"type": ["string", "null"], "minLength": 1, "maxLength": 256,
              "description": "The host that earns this price; null: the price that clients pay"},
            "input": \#(amount),
            "cached_input": {"type": ["string", "null"],
              "description": "Default: the price of input"},
            "output": \#(amount),
            "effective_from_ms": {"type": ["integer", "null"],
              "description": "Default: a second from now; never in the past"}}},
        "Price": {"type": "object",
          "required": ["model", "input", "cached_input", "output", "effective_from_ms"],
          "properties": {"model": {"type": "string"}, "host": {"type": "string"},
            "input": \#(amount), "cached_input": \#(amount), "output": \#(amount),
            "effective_from_ms": {"type": "integer"}}},
        "PayoutRule": {"type": "object",
          "required": ["reservation_fee", "progress_fee_per_million", "per_mille_of_winner"],
          "properties": {"reservation_fee": \#(amount), "progress_fee_per_million": \#(amount),
            "per_mille_of_winner": {"type": "integer",
              "minimum": \#(PayoutRule.shares.lowerBound),
              "maximum": \#(PayoutRule.shares.upperBound),
              "description": "Most that a race loser earns, in thousandths of the winner's pay"}}},
        "TariffChange": {"type": "object", "additionalProperties": false,
          "properties": {"unknown_price": {"enum": ["refuse", "free"]},
            "payout_rule": {"$ref": "#/components/schemas/PayoutRule"}}},
        "Tariff": {"type": "object", "required": ["object", "unknown_price", "payout_rule"],
          "properties": {"object": {"const": "tariff"},
            "unknown_price": {"enum": ["refuse", "free"]},
            "payout_rule": {"$ref": "#/components/schemas/PayoutRule"}}},
        "NewTransfer": {"type": "object", "additionalProperties": false, "required": ["kind"],
          "properties": {
            "id": {"type": ["string", "null"], "minLength": 1, "maxLength": 256,
              "description": "Chosen by the client, so that a repetition moves nothing"},
            "kind": {"enum": ["credit", "debit", "payout", "correction"]},
            "amount": {"type": "string", "description": "Of a credit, a debit or a payout"},
            "organisation": {"type": "string", "description": "Of a credit or a debit"},
            "host": {"type": "string", "description": "Of a payout"},
            "entries": {"type": "array", "maxItems": \#(Limits.transactionEntries.value),
              "description": "Of a correction; the amounts sum to 0",
              "items": {"$ref": "#/components/schemas/Entry"}},
            "note": {"type": ["string", "null"],
              "maxLength": \#(Limits.transactionNoteBytes.value)}}},
        "Transfer": {"type": "object", "required": ["object", "id", "repeated"],
          "properties": {"object": {"const": "transfer"}, "id": {"type": "string"},
            "repeated": {"type": "boolean"}}},
        "Entry": {"type": "object", "additionalProperties": false,
          "required": ["account", "amount"],
          "properties": {"account": {"type": "string"}, "amount": \#(signedAmount)}},
        "Transaction": {"type": "object",
          "required": ["object", "position", "id", "kind", "time_ms", "entries", "note"],
          "properties": {"object": {"const": "transaction"}, "position": {"type": "integer"},
            "id": {"type": "string"},
            "kind": {"enum": ["credit", "hold", "release", "settle", "payout", "correction"]},
            "time_ms": {"type": "integer"},
            "entries": {"type": "array", "items": {"$ref": "#/components/schemas/Entry"}},
            "note": {"type": "string"}}},
        "Balance": {"type": "object", "required": ["object", "account", "balance"],
          "properties": {"object": {"const": "balance"}, "account": {"type": "string"},
            "balance": \#(signedAmount)}},
        "Verification": {"type": "object",
          "required": ["object", "correct", "transactions", "differences"],
          "properties": {"object": {"const": "verification"}, "correct": {"type": "boolean"},
            "transactions": {"type": "integer"},
            "differences": {"type": "array", "items": {"type": "string"}}}},
  """#
