--- A name that is not known: a typing error in an option or a knob.
return { at = "message", severe = true, find = function(message)
  local what, name, rest = message:match('unknown ([%w ]+) "([^"]*)"(.*)')
  if not what then return nil end
  local near = rest:match('did you mean "([^"]*)"')
  return ('there is no %s "%s"'):format(what, name),
         near and ('write "%s"'):format(near) or "moonlit run RECIPE.lua --help lists the knobs"
end }
