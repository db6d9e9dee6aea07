// Measurements with their floors and peers beside them; `--help` lists what can be measured. Numbers go to standard output, progress
// and notes to standard error. Kernels run under BenchmarkDotNet, everything else in interleaved rounds of our own.
// Refuses: running in Debug, where times mean nothing; words it does not know (exit code 2).

using Ptp.Bench;

return BenchCommand.Run(args, Console.Out, Console.Error);
