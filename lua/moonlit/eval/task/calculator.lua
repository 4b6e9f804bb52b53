--- Questions for the calculator: right when the model makes one call, with exactly the expression
--- asked for, and its answer after the result is exact.
local match = require "moonlit.eval.match"

-- every call in a reply's messages
local function calls(messages)
  local list = {}
  for _, message in ipairs(messages) do
    for _, call in ipairs(message.tool_calls or {}) do list[#list + 1] = call end
  end
  return list
end

-- "12 + 30" is "12+30"
local function same_expression(call, wanted)
  local expression = type(call.arguments) == "table" and call.arguments.expression
  return call.name == "calculator" and type(expression) == "string"
         and expression:gsub("%s", "") == wanted:gsub("%s", "")
end

return {
  name = "calculator", title = "calculator used rightly", better = "higher",
  tools = { "calculator" },
  items = function(world, part, n) return world:tasks(part, n).calculator end,
  score = function(item, reply)
    local made = calls(reply.messages)
    if #made ~= 1 or not same_expression(made[1], item.call) then return 0 end
    return match.exact(reply.content, item.answer)
  end,
}
