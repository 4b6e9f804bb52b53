#!/bin/sh
# rock.sh LUA -- install the rock offline into ./lua_modules, try it from there, remove it.
set -eu
lua=$1
rm -rf lua_modules build/rock
export LUAROCKS_CONFIG=tests/luarocks.lua
rocks() { $lua /usr/bin/luarocks --lua-version=5.4 "$@"; }
rocks lint rocks/moonlit-scm-1.rockspec
rocks --tree ./lua_modules make rocks/moonlit-scm-1.rockspec CFLAGS="-O2 -fPIC" >build/rock.log 2>&1 ||
  { cat build/rock.log; exit 1; }
unset LUA_PATH LUA_CPATH
eval "$(rocks path --tree ./lua_modules)"
cd /tmp  # nothing of the checkout may be needed
$lua "$OLDPWD/tests/smoke.lua"
"$OLDPWD/lua_modules/bin/moonlit" --version
cd "$OLDPWD"
rocks --tree ./lua_modules remove moonlit >/dev/null
left=$(find lua_modules -name 'moonlit*' -o -name 'core.so' | wc -l)
[ "$left" = 0 ] || { echo "rock: $left files left after remove" >&2; exit 1; }
rm -rf lua_modules
echo "rock: installed, ran and removed cleanly"
