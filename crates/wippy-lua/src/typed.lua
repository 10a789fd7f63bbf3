-- Checks values against types. `typed.rs` has checked the arguments, and gives functions that
-- no script can have changed. Access is raw: no code of a script runs.
--
-- A check gives nothing where the value fits, else what is wrong: `node` is the type and
-- `value` what does not fit it, `wanted` or `text` say more, and the keys that lead there are
-- its elements, the innermost first.

local byte_at, number_at, text_at, to_number, kind_of, is_integer, field, next, len, find,
    is_error, type_value, show, invalid, raise = ...

-- How deep tables, and types by name, may nest.
local DEPTH_MAX = 400

-- Generic types with their arguments in one check. Only a type whose arguments grow with each
-- step has so many.
local BOUNDS_MAX = 1000

-- Bytes of a type that a message shows, and how deep it looks into one.
local SHOWN_MAX = 100
local SHOWN_DEPTH_MAX = 4

-- As `kind_of` has them.
local NIL, BOOLEAN, NUMBER, STRING, TABLE, FUNCTION, USERDATA, THREAD = 0, 1, 3, 4, 5, 6, 7, 8

local PENDING = {}

local show_type, definition_of

local function too_deep(node, v)
    return { node = node, value = v, text = "the value nests too deeply" }
end

-- Whether it is the value as a whole that does not fit, and nothing is known but that.
local function is_plain(wrong)
    return #wrong == 0 and not wrong.text and not wrong.wanted
end

-- `check(node, value, arguments, run)` is the check of a type. `arguments` holds what the
-- parameters of the declaration around it stand for: each a type and its own arguments.

local function check_any() end

local function check_never(node, v)
    return { node = node, value = v }
end

local function check_kind(node, v)
    if kind_of(v) ~= node.kind then return { node = node, value = v } end
end

local function check_integer(node, v)
    if not is_integer(v) then return { node = node, value = v } end
end

local function check_error(node, v)
    if not is_error(v) then return { node = node, value = v } end
end

local function check_literal(node, v)
    if kind_of(v) ~= node.kind or v ~= node.value then return { node = node, value = v } end
end

local function check_optional(node, v, arguments, run)
    if v == nil then return end
    local of = node.of
    local wrong = of.check(of, v, arguments, run)
    if wrong and is_plain(wrong) and wrong.node == of then wrong.node = node end
    return wrong
end

local function check_array(node, v, arguments, run)
    if kind_of(v) ~= TABLE then return { node = node, value = v } end
    if run.depth >= DEPTH_MAX then return too_deep(node, v) end
    run.depth = run.depth + 1
    local of = node.of
    local check, count = of.check, len(v)
    for i = 1, count do
        local wrong = check(of, field(v, i), arguments, run)
        if wrong then
            wrong[#wrong + 1], wrong.tag = i, nil
            run.depth = run.depth - 1
            return wrong
        end
    end
    run.depth = run.depth - 1
    local seen = 0
    for key in next, v do
        seen = seen + 1
        if seen > count or not is_integer(key) or key < 1 or key > count then
            local text = "expected " .. show_type(node) .. ", got a table with the key " .. show(key, true)
            return { node = node, value = v, text = text }
        end
    end
end

local function check_entries(node, v, arguments, run)
    local key_type, value_type = node.key, node.of
    for key, inner in next, v do
        if not node.named[key] then
            if key_type.check(key_type, key, arguments, run) then
                local text = "expected keys of type " .. show_type(key_type) .. ", got the key "
                    .. show(key, true)
                return { node = node, value = v, text = text }
            end
            local wrong = value_type.check(value_type, inner, arguments, run)
            if wrong then
                wrong[#wrong + 1], wrong.tag = key, nil
                return wrong
            end
        end
    end
end

local function check_table(node, v, arguments, run)
    if kind_of(v) ~= TABLE then return { node = node, value = v } end
    if run.depth >= DEPTH_MAX then return too_deep(node, v) end
    run.depth = run.depth + 1
    local wrong
    local fields = node.fields
    for i = 1, #fields do
        local one = fields[i]
        local of, inner = one.of, field(v, one.name)
        if inner ~= nil or not one.optional then
            wrong = of.check(of, inner, arguments, run)
            if wrong then
                wrong[#wrong + 1], wrong.tag = one.name, of.literal
                break
            end
        end
    end
    if not wrong and node.key then wrong = check_entries(node, v, arguments, run) end
    run.depth = run.depth - 1
    return wrong
end

-- Where the value fits one member but for some part of it, that part is what is wrong. A
-- member whose field of a literal type does not fit was not meant.
local function check_union(node, v, arguments, run)
    if node.texts[v] then return end
    local nearest, count = nil, 0
    for i = 1, #node do
        local wrong = node[i].check(node[i], v, arguments, run)
        if not wrong then return end
        if not wrong.tag and not is_plain(wrong) then
            nearest, count = wrong, count + 1
        end
    end
    if count == 1 then return nearest end
    return { node = node, value = v }
end

local function check_intersection(node, v, arguments, run)
    for i = 1, #node do
        local wrong = node[i].check(node[i], v, arguments, run)
        if wrong then return wrong end
    end
end

-- In the order of the annotations in `dialect/types.rs`.
local LIMITS = {
    function(v, kind, limit)
        if kind == NUMBER and not (v >= limit) then return "a number of at least " .. limit end
    end,
    function(v, kind, limit)
        if kind == NUMBER and not (v <= limit) then return "a number of at most " .. limit end
    end,
    function(v, kind, limit)
        if (kind == STRING or kind == TABLE) and len(v) < limit then
            return "a length of at least " .. limit
        end
    end,
    function(v, kind, limit)
        if (kind == STRING or kind == TABLE) and len(v) > limit then
            return "a length of at most " .. limit
        end
    end,
    function(v, kind, pattern)
        if kind == STRING and not find(v, pattern) then
            return "a text that matches " .. show(pattern, true)
        end
    end,
}

local function check_annotated(node, v, arguments, run)
    local of = node.of
    local wrong = of.check(of, v, arguments, run)
    if wrong then return wrong end
    local kind = kind_of(v)
    for i = 1, #node do
        local wanted = node[i].limit(v, kind, node[i].argument)
        if wanted then return { node = node, value = v, wanted = wanted } end
    end
end

local function check_parameter(node, v, arguments, run)
    local bound = arguments and arguments[node.place]
    if not bound then return end
    if run.depth >= DEPTH_MAX then return too_deep(node, v) end
    run.depth = run.depth + 1
    local wrong = bound[1].check(bound[1], v, bound[2], run)
    run.depth = run.depth - 1
    return wrong
end

-- The table of `from` under a key, made at first use.
local function under(from, key)
    local found = from[key]
    if not found then
        found = {}
        from[key] = found
    end
    return found
end

-- What the parameters of a definition stand for in a reference to it: the same table for the
-- same definition and arguments throughout a run, so that a table is checked once against each.
-- Nothing, and true, where a type that grows with each step has made too many.
local function bind(node, definition, arguments, run)
    local defaults = definition.defaults
    local count = #defaults
    if count == 0 then return nil end
    local bound = {}
    local known = under(run.known, definition)
    for i = 1, count do
        local given, one = node[i], false
        if not given then
            one = defaults[i]
        elseif given.check == check_parameter then
            one = arguments and arguments[given.place] or false
        else
            local pairs_of = under(run.pairs, arguments or run)
            one = pairs_of[given]
            if not one then
                one = { given, arguments }
                pairs_of[given] = one
            end
        end
        bound[i] = one
        known = under(known, one)
    end
    if not known.bound then
        if run.bounds >= BOUNDS_MAX then return nil, true end
        run.bounds = run.bounds + 1
        known.bound = bound
    end
    return known.bound
end

local function copy(wrong)
    local made = {
        node = wrong.node,
        value = wrong.value,
        text = wrong.text,
        wanted = wrong.wanted,
        name = wrong.name,
        tag = wrong.tag,
    }
    for i = 1, #wrong do made[i] = wrong[i] end
    return made
end

-- A table is checked once against each type by name, however many ways lead to it. While it
-- is being checked it fits, so that it may contain itself; where that turns out wrong, what
-- was found to fit meanwhile is forgotten.
local function check_definition(definition, v, bound, run)
    local body = definition.body
    if run.depth >= DEPTH_MAX then return too_deep(body, v) end
    local is_table = kind_of(v) == TABLE
    local known, mark
    if is_table then
        known = run[bound or definition]
        if not known then
            known = {}
            run[bound or definition] = known
        end
        local found = known[v]
        if found == true then return end
        if found == PENDING then
            run.assumed = true
            return
        end
        if found then return copy(found) end
        known[v] = PENDING
        mark = #run.log
    end
    run.depth = run.depth + 1
    local wrong = body.check(body, v, bound, run)
    run.depth = run.depth - 1
    if not is_table then return wrong end
    local log = run.log
    if not wrong then
        known[v] = true
        log[#log + 1] = known
        log[#log + 1] = v
        return
    end
    if run.assumed then
        for i = #log - 1, mark + 1, -2 do
            log[i][log[i + 1]] = nil
            log[i], log[i + 1] = nil, nil
        end
    end
    known[v] = copy(wrong)
    return wrong
end

-- A table type by name is shown as its name.
local function named(wrong, definition)
    if wrong and is_plain(wrong) and wrong.node == definition.body and wrong.node.fields then
        wrong.name = definition.name
    end
    return wrong
end

local function check_bound(node, definition, v, arguments, run)
    local bound, too_many = bind(node, definition, arguments, run)
    if too_many then return too_deep(node, v) end
    return named(check_definition(definition, v, bound, run), definition)
end

local function check_reference(node, v, arguments, run)
    return check_bound(node, node.definition, v, arguments, run)
end

-- The type that a field of a variable holds, where it holds one.
local function check_foreign(node, v, arguments, run)
    local at = node.set.slots[node.slot]
    for i = 1, #node.path do
        if kind_of(at) ~= TABLE then return end
        at = field(at, node.path[i])
    end
    local value = type_value(at)
    if not value then return end
    return check_bound(node, definition_of(value), v, arguments, run)
end

local function show_within(node, depth)
    if depth > SHOWN_DEPTH_MAX then return "..." end
    if node.shown then return node.shown end
    if node.definition then return node.definition.name end
    if node.kind then return show(node.value, true) end
    if node.check == check_optional then return show_within(node.of, depth + 1) .. "?" end
    if node.check == check_annotated then return show_within(node.of, depth + 1) end
    if node.check == check_array then return "{" .. show_within(node.of, depth + 1) .. "}" end
    if node.fields then return "table" end
    if node.check == check_union or node.check == check_intersection then
        local shown, sign = "", node.check == check_union and " | " or " & "
        for i = 1, #node do
            if len(shown) > SHOWN_MAX then return shown .. sign .. "..." end
            shown = shown .. (i > 1 and sign or "") .. show_within(node[i], depth + 1)
        end
        return shown
    end
    return "any"
end

function show_type(node)
    return show_within(node, 1)
end

-- Types that are all said by their letter.
local SIMPLE = {
    [97] = { check = check_any, shown = "any" },
    [122] = { check = check_never, shown = "never" },
    [110] = { check = check_kind, kind = NIL, shown = "nil" },
    [98] = { check = check_kind, kind = BOOLEAN, shown = "boolean" },
    [102] = { check = check_kind, kind = NUMBER, shown = "number" },
    [105] = { check = check_integer, shown = "integer" },
    [115] = { check = check_kind, kind = STRING, shown = "string" },
    [116] = { check = check_kind, kind = TABLE, shown = "table" },
    [117] = { check = check_kind, kind = FUNCTION, shown = "function" },
    [104] = { check = check_kind, kind = THREAD, shown = "thread" },
    [100] = { check = check_kind, kind = USERDATA, shown = "userdata" },
    [101] = { check = check_error, shown = "error" },
    [84] = { check = check_literal, kind = BOOLEAN, value = true, literal = true },
    [70] = { check = check_literal, kind = BOOLEAN, value = false, literal = true },
}

-- A description, as `dialect/describe.rs` has it. Nodes are made empty first, so that each can
-- refer to any.
local function read(set)
    local from, at, nodes = set.description, 1, {}

    local function number()
        local value = number_at(from, at)
        at = at + 4
        return value
    end

    local function text()
        local value
        value, at = text_at(from, at)
        return value
    end

    local function node()
        local place = number()
        if place == 0 then return nil end
        local made = nodes[place]
        if not made then
            made = {}
            nodes[place] = made
        end
        return made
    end

    local function list(into)
        for i = 1, number() do into[i] = node() end
        return into
    end

    local definitions = {}
    local function definition(place)
        definitions[place] = definitions[place] or { defaults = {} }
        return definitions[place]
    end

    local read_node = {
        -- '#' and "'": literals
        [35] = function(made)
            made.check, made.kind, made.literal = check_literal, NUMBER, true
            made.value = to_number(text())
        end,
        [39] = function(made)
            made.check, made.kind, made.literal = check_literal, STRING, true
            made.value = text()
        end,
        -- '['
        [91] = function(made)
            made.check, made.of = check_array, node()
        end,
        -- '?'
        [63] = function(made)
            made.check, made.of = check_optional, node()
        end,
        -- '{'
        [123] = function(made)
            made.check, made.fields, made.named = check_table, {}, {}
            for i = 1, number() do
                local name = text()
                local optional = byte_at(from, at) ~= 0
                at = at + 1
                made.fields[i] = { name = name, optional = optional, of = node() }
                made.named[name] = true
            end
            made.key, made.of = node(), node()
        end,
        -- '|'
        [124] = function(made)
            made.check, made.texts = check_union, {}
            list(made)
        end,
        -- '&'
        [38] = function(made)
            made.check = check_intersection
            list(made)
        end,
        -- '@'
        [64] = function(made)
            made.check, made.of = check_annotated, node()
            for i = 1, number() do
                local limit, argument = number() + 1, text()
                made[i] = { limit = LIMITS[limit], argument = limit < 5 and to_number(argument) or argument }
            end
        end,
        -- 'p'
        [112] = function(made)
            made.check, made.place = check_parameter, number()
        end,
        -- 'r'
        [114] = function(made)
            made.check, made.definition = check_reference, definition(number())
            list(made)
        end,
        -- 'x'
        [120] = function(made)
            made.check, made.set, made.slot, made.path = check_foreign, set, number(), {}
            for i = 1, number() do made.path[i] = text() end
            list(made)
        end,
    }

    for _ = 1, number() do text() end
    for i = 1, number() do
        local made = definition(i)
        made.name, made.body = text(), node()
        for place = 1, number() do
            local default = node()
            made.defaults[place] = default and { default, nil } or false
        end
    end
    local count = number()
    for i = 1, count do
        local made = nodes[i]
        if not made then
            made = {}
            nodes[i] = made
        end
        local letter = byte_at(from, at)
        at = at + 1
        local simple = SIMPLE[letter]
        if simple then
            for key, value in next, simple do made[key] = value end
        else
            read_node[letter](made)
        end
    end
    for i = 1, count do
        local made = nodes[i]
        if made.texts then
            for place = 1, #made do
                local member = made[place]
                if member.literal and member.kind ~= NUMBER then made.texts[member.value] = true end
            end
        elseif made.fields then
            -- Those of literal types first: they say which member of a union is meant.
            local ordered, later = {}, {}
            for place = 1, #made.fields do
                local one = made.fields[place]
                if one.of.literal then ordered[#ordered + 1] = one else later[#later + 1] = one end
            end
            for place = 1, #later do ordered[#ordered + 1] = later[place] end
            made.fields = ordered
        end
    end
    return definitions
end

-- `value` is what stands behind a type that a script holds.
function definition_of(value)
    local set = value.set
    local definitions = set.definitions
    if not definitions then
        definitions = read(set)
        set.definitions = definitions
    end
    return definitions[value.place]
end

local function message(wrong)
    local path = ""
    for i = #wrong, 1, -1 do path = path .. show(wrong[i], path == "" and "first" or "key") end
    if path ~= "" then path = path .. ": " end
    if wrong.text then return path .. wrong.text end
    local wanted = wrong.wanted or wrong.name or show_type(wrong.node)
    return path .. "expected " .. wanted .. ", got " .. show(wrong.value)
end

local function check(value, v)
    local definition = definition_of(value)
    local run = { depth = 0, log = {}, known = {}, pairs = {}, bounds = 0 }
    return named(check_definition(definition, v, nil, run), definition)
end

local typed = {}

-- The value, or true in place of nil and false, so that what it gives tells a fit from none.
function typed.is(value, v)
    local wrong = check(value, v)
    if wrong then return nil, invalid(message(wrong)) end
    return v or true, nil
end

function typed.cast(value, v)
    local wrong = check(value, v)
    if wrong then raise(invalid(message(wrong))) end
    return v
end

return typed
