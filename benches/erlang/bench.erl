%% What stands beside the runtime's own figures: messages and restarts in Erlang. Prints the CPU
%% time of one operation in microseconds, of all threads together.
-module(bench).
-behaviour(supervisor).
-export([main/1, init/1, start_worker/0]).

main([What, Count]) ->
    logger:set_primary_config(level, none),
    Work = work(What),
    N = list_to_integer(Count),
    Work(N div 10),
    {Before, _} = statistics(runtime),
    Work(N),
    {After, _} = statistics(runtime),
    io:format("~p~n", [(After - Before) * 1000 / N]),
    halt(0).

work("round_trip") ->
    Echo = spawn(fun echo/0),
    fun(N) -> ping(Echo, N) end;
%% A supervised process fails and is started again; the one that waits is told by the new one.
work("restart") ->
    register(bench, self()),
    process_flag(trap_exit, true),
    {ok, _} = supervisor:start_link(?MODULE, []),
    First = receive {started, Worker} -> Worker end,
    put(worker, First),
    fun(N) -> put(worker, restart(get(worker), N)) end.

echo() ->
    receive {From, X} -> From ! {self(), X}, echo() end.

ping(_, 0) -> ok;
ping(Echo, N) ->
    Echo ! {self(), N},
    receive {Echo, N} -> ping(Echo, N - 1) end.

restart(Worker, 0) -> Worker;
restart(Worker, N) ->
    Worker ! fail,
    receive {started, Next} -> restart(Next, N - 1) end.

init([]) ->
    Flags = #{strategy => one_for_one, intensity => 1000000000, period => 1},
    Worker = #{id => worker, start => {?MODULE, start_worker, []}, restart => permanent},
    {ok, {Flags, [Worker]}}.

start_worker() ->
    {ok, spawn_link(fun() -> bench ! {started, self()}, receive fail -> error(trap) end end)}.
