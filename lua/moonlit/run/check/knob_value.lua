--- A knob's value of another kind than its default.
return { at = "message", severe = true, find = function(message)
  local knob, kind, got = message:match 'knobs: (%S+) must be (.-), got "([^"]*)"'
  if knob then
    return ('%s = "%s" is not %s'):format(knob, got, kind), ("%s=%s"):format(knob, ({
      ["an integer"] = "1000", ["a number"] = "0.001", ["true or false"] = "true" })[kind] or "1,2")
  end
end }
