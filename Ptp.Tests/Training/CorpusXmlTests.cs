// XML documentation as plain English: names instead of references, no markup, templates without names.
// Snippets are written here in the forms the SDK's files use; a last test reads the SDK of this machine, if it has one.
// Refuses: nothing; checks that a file that is no XML is counted and left out.

using System.Text.RegularExpressions;
using System.Xml.Linq;
using Ptp.Core;
using Ptp.Core.Training;
using Xunit;

namespace Ptp.Tests.Training;

public sealed class CorpusXmlTests
{
    [Theory]
    [InlineData("T:System.String", "String")]
    [InlineData("T:System.Collections.Generic.Dictionary`2.KeyCollection", "KeyCollection")]
    [InlineData("M:System.String.Join(System.String,System.Object[])", "String.Join")]
    [InlineData("M:System.Linq.Queryable.UnionBy``2(System.Linq.IQueryable{``0},System.Func{``0,``1})", "Queryable.UnionBy")]
    [InlineData("M:System.Text.Rune.#ctor(System.Char)", "Rune")]
    [InlineData("P:System.Threading.Tasks.Task`1.Result", "Task.Result")]
    [InlineData("M:System.String.System#IConvertible#ToByte(System.IFormatProvider)", "String.ToByte")]
    [InlineData("M:System.Decimal.op_Addition(System.Decimal,System.Decimal)", "Decimal.Addition")]
    [InlineData("F:System.Byte.MaxValue", "Byte.MaxValue")]
    [InlineData("N:System.IO", "System.IO")]
    [InlineData("System.Threading.Tasks.ValueTask`1.Result", "Result")]
    [InlineData("!:Missing", "Missing")]
    [InlineData("", "")]
    public void ReferencesBecomeNames(string reference, string name) => Assert.Equal(name, CorpusXmlText.ShortName(reference));

    [Fact]
    public void AMemberBecomesPlainEnglish()
    {
        var (heading, text, _, _) = Member("""
            <member name="M:Zoo.Box.Take(System.Int32,System.Boolean)">
              <summary>Takes a piece from this <see cref="T:Zoo.Box`1" />,
                 or <see langword="null" /> where there is none .</summary>
              <param name="count">How many to take. <paramref name="strict" /> decides what <c>0</c> does.</param>
              <param name="strict"><code data-dev-comment-type="langword">true</code> to fail early.</param>
              <exception cref="T:System.ArgumentException"><paramref name="count" /> is negative.

            -or-

            the box is <see cref="F:Zoo.State.Closed">closed</see>.</exception>
              <returns>A <xref uid="Zoo.Piece" data-throw-if-not-resolved="true"></xref>.</returns>
              <remarks><para>First.</para><para>Second, see `Box` and **more** at [here](there.md).</para>
                <code language="csharp">var secret = 1;</code>
                <list type="bullet"><listheader><term>Head</term></listheader>
                <item><term>one</term><description>the first</description></item><item>two</item></list></remarks>
              <example>never shown</example>
            </member>
            """)!.Value;
        Assert.Equal("Box.Take(count, strict)", heading);
        Assert.Equal(
            """
            Takes a piece from this Box, or null where there is none.
            count: How many to take. strict decides what 0 does.
            strict: true to fail early.
            Throws ArgumentException: count is negative. -or- the box is closed.
            Returns: A Piece.
            First. Second, see Box and more at here. one: the first; two;
            """.ReplaceLineEndings("\n"), text);
    }

    [Theory]
    [InlineData("<summary><inheritdoc /></summary>")]
    [InlineData("<summary>Short one.</summary>")]
    [InlineData("<summary>__m256d _mm256_add_pd (__m256d a, __m256d b) adds the two of them</summary>")]
    [InlineData("<summary>See https://example.org/a/long/path for all of the many details</summary>")]
    [InlineData("<code>for (var i = 0; i &lt; 10; i++) { Console.WriteLine(i); }</code>")]
    public void WhatSaysNothingInEnglishIsLeftOut(string content) => Assert.Null(Member($"<member name=\"T:A.B\">{content}</member>"));

    [Fact]
    public void TemplatesForgetNamesAndNothingElse()
    {
        string Of(string inner) => Member($"<member name=\"T:A.B\"><summary>{inner}</summary></member>")!.Value.Topic;
        var one = Of("Initializes a new instance of the <see cref=\"T:System.String\" /> class with 3 items.");
        Assert.Equal(one, Of("Initializes a new instance of the <see cref=\"T:System.IO.Stream\" /> class with 17 items."));
        Assert.Equal(one, Of("Initializes a new instance of the FileStream class with MAX_ITEMS items."));
        Assert.NotEqual(one, Of("Initializes an old instance of the <see cref=\"T:System.String\" /> class with 3 items."));
    }

    [Fact]
    public void DuplicatesAndTheCapPerTemplateAreCounted()
    {
        var members = Enumerable.Range(0, 20).Select(i =>
            $"<member name=\"P:N.T{i}.P\"><summary>Gets the colour of the <see cref=\"T:N.Thing{i}\" /> in the garden.</summary></member>");
        var twice = string.Concat(members) + string.Concat(Enumerable.Repeat(
            "<member name=\"P:N.U.P\"><summary>Tells whether the garden is open on Sundays.</summary></member>", 3));
        var collector = new CorpusXmlDocs.Collector();
        collector.Add(XDocument.Parse($"<doc><members>{twice}</members></doc>"));
        Assert.Equal(9, collector.Parts.Count);
        Assert.Equal(14, collector.Duplicates);
        Assert.Equal("N.T0", collector.Parts[0].Block);
    }

    [Fact]
    public void AFileThatIsNoXmlIsCountedAndAFolderThatIsNoneIsRefused()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("a.xml"), "<doc><members><member");
        File.WriteAllText(folder.At("b.xml"),
            "<doc><members><member name=\"T:A.B\"><summary>Holds the keys of the garden gate.</summary></member></members></doc>");
        var reading = CorpusXmlDocs.Read([folder.Path]);
        Assert.Equal(1, reading.Damaged);
        Assert.Equal("B\nHolds the keys of the garden gate.", Assert.Single(reading.Parts).Text);
        Assert.Throws<PtpException>(() => CorpusXmlDocs.Read([folder.At("none")]));
    }

    [Fact]
    public void TheSdkOfThisMachineGivesCleanText()
    {
        // One large file of the SDK; the whole takes several seconds.
        var file = CorpusXmlDocs.SdkFolders().Select(f => Path.Combine(f, "System.Collections.xml")).First(File.Exists);
        var collector = new CorpusXmlDocs.Collector();
        collector.AddFile(file);
        Assert.True(collector.Parts.Count > 300, $"{collector.Parts.Count} parts");
        var markup = new Regex("\\b[A-Z]:System\\.|cref=|langword|</|/>|`|[\u0001\u0002]|&lt;");
        Assert.DoesNotContain(collector.Parts, p => markup.IsMatch(p.Text));
        Assert.All(collector.Parts, p => Assert.False(string.IsNullOrWhiteSpace(p.Template)));
    }

    private static (string Heading, string Text, string Whole, string Topic)? Member(string xml) =>
        CorpusXmlText.Member(XElement.Parse(xml, LoadOptions.PreserveWhitespace));

}
