--- Text of data, so that it does nothing to a terminal: control characters and what is not UTF-8
--- are shown as \xNN.
return function(s)
  if not utf8.len(s) then
    s = s:gsub("[\x80-\xff]", function(c) return ("\\x%02X"):format(c:byte()) end)
  end
  s = s:gsub("[\0-\8\11-\31\127]", function(c) return ("\\x%02X"):format(c:byte()) end)
  return (s:gsub("\xc2[\x80-\x9f]", "")) -- the same as ESC [ and others
end
