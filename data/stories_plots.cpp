// The plots of the built-in stories, each with the words that only it needs. To add one, write ten lines like
// these; the language is described in stories.h.
#include "data/stories.h"

namespace chapbook {

const std::string_view story_plots = R"(
plot lost and found:
  {opening} [{He} took {his} {color} {toy} everywhere.|{His} favorite toy was a {color} {toy}.|{Elder} had
  given {him} a {color} {toy}.] But <day>, the {toy} was gone!

  {name} looked [under the bed|in the box|behind the door] and [in the kitchen|on the shelf|under the
  table], but it was not there, so {he} <mope>.

  [Just then|Soon], <pal> came by. "<what-is-wrong>" asked {friend}.

  "I [lost|cannot find] my {toy}," said {name}.

  "<comfort>," said {friend}, "[we will find it together|I will help you look]."

  They looked all over the {outside}, and [at last|then] {friend} saw something {color} [in the tall
  grass|under a bush|behind a tree|next to a big rock]. It was the {toy}! [The wind had blown it there.|A
  bird had dropped it there.|]

  "<thanks>" said {name}. <play-end>

task: water the flowers | feed the hens | bring in the wood | sweep the kitchen | pick the berries
  | wash the cups
task-done with task: the flowers were wet | the hens were full | the wood was in the house
  | the kitchen was clean | the basket was full of berries | the cups were clean
task-why with task: the flowers will be thirsty | the hens will be hungry | the house will be cold
  | the floor will be dusty | the birds will eat them all | there will be no cups for tea

plot a promise kept:
  {opening} <Day>, {elder} said, "{name}, will you {task} today?"

  "Yes, I promise," said {name}.

  [Soon|Then] {friend} came to the door with a {color} {toy}. "Come and play with me in the {outside}!"
  [said|called] {friend}.

  {name} wanted to go [very much|at once], but {he} remembered {his} promise. "[First I have to|I promised
  {elder} to] {task}," {he} said, "or {task-why}."

  "Then I will help you," said {friend}, and they worked [hard|side by side] until {task-done}.

  {Elder} came to look and <smile>. "You kept your promise," {elder.he} said, and gave them [each a|a big]
  {food}. [Then they played with the {toy} until dark.|{name} was glad that {he} had kept {his} word.|A
  promise is a promise.]

plot sharing:
  {opening} <Day>, {elder} gave {him} a [big|sweet|fresh] {food}. [It smelled so good!|{name} could not
  wait to eat it.|]

  {name} sat down [under a tree|on a bench|by the gate] to eat. Then {he} saw {friend}, [the|a]
  {friend-kind} [from next door|who lived near the {outside}]. "[Did you have lunch|Have you had lunch]?"
  asked {name}.

  "No, I [forgot my lunch|dropped my {food2} in the mud], and I am so hungry," said {friend}.

  {name} wanted to eat the {food} all [alone|by {himself}], but {he} did not want {friend} to be hungry.
  So {he} broke it in two. "Here, half is for you," {he} said.

  "Thank you, {name}! You are very kind," said {friend}. [The {food} tasted even better because they
  shared it.|They ate it together, and it was the best {food} in the world.|The next day, {friend} brought
  a {food2} and gave half of it to {name}.|{name} learned that sharing makes everything taste better.]

fear: the dark | thunder | the deep water | high places | the big dog next door | loud noises
fear-when with fear: One night, the light went out | One night, a storm came
  | One hot day, everyone went to swim in the lake
  | One windy day, {his} {color} {toy} was stuck in a tree | One morning, the big dog ran into the garden
  | On market day, a band began to play
fear-help with fear: Look up and count the stars with me | Let us clap as loud as the thunder
  | Hold my hand and put in one foot | Take one small step and do not look down
  | Hold out your hand and let him smell it | Hum a little song with me
fear-try with fear: looked up and counted ten little stars | clapped and clapped
  | held on tight and put one foot in the water | climbed up one small step at a time
  | held out one hand and stood very still | hummed a little song
fear-end with fear: The dark was not so bad, because it was full of stars
  | The thunder was only a noise, and it went away
  | The water was cool and soft, and soon they were swimming
  | Up there, everything looked small and pretty
  | The dog only wanted to play, and he licked {him} on the nose
  | The drums were loud, but they made {him} want to dance

plot a fear overcome:
  {opening} But {name} was afraid of {fear}.

  {fear-when}. {name} [hid behind {elder}|closed both eyes|did not move].

  "[Are you afraid|What is it, {name}]?" asked {elder}.

  "I am afraid of {fear}," [whispered {name}|{name} said softly].

  "[Everyone is afraid sometimes|I was afraid of that once, too]," said {elder}. "{fear-help}."

  {name} took a deep breath, and then {he} {fear-try}. {fear-end}. "[Look, I did it|I am not afraid now]!"
  [cried|said] {name}.

  "<proud>," said {elder}. [Being brave means that you are afraid and try anyway.|<home-end>|]

fragile: train | robot | truck | wagon | boat | drum | plane | wooden horse | music box
break-how: fell off the table | fell down the stairs | fell on the hard floor | was left out in the rain
broken: It had a big crack | One side was bent | A piece came off
mend with broken: some glue | a little hammer | a piece of string
mended with broken: put glue on the crack and held it tight | tapped the side until it was straight
  | tied the piece back on

plot a broken toy mended:
  {opening} [{He} had a {color} {fragile} that {he} loved.|{Elder} had made {him} a {color} {fragile}.|For
  {his} birthday, {he} had got a {color} {fragile}.]

  <Day>, the {fragile} {break-how}. {broken}, and {name} <mope>. "My {fragile} is broken!" {he} said to
  {elder}. "[Now I cannot play with it.|Can we fix it?|What can we do?]"

  {Elder} looked at it [closely|for a long time]. "[Do not throw it away|We can mend it]," {elder.he}
  said. "[Get|Bring] me {mend}, please."

  Together they {mended}. [It took a long time, but they did not give up.|They had to be very careful.|]
  [At last|Then] the {color} {fragile} was [as good as new|whole again]!

  "Thank you, {elder}!" said {name}. [{He} hugged {elder.him} and ran out to play.|Now {he} loved the
  {fragile} even more, because they had mended it together.|After that, {he} always took good care of
  {his} {fragile}.]

plot a surprise:
  {opening} <Day>, {name} woke up and <smile>, because it was {his} birthday! But [nobody said a word
  about it|everyone seemed to be busy].

  {He} went to see {friend}. "Do you know what day it is?" {he} asked.

  "[No|I do not know], and I [have to go|am very busy] now," said {friend}.

  {name} <mope>. "[Everyone forgot my birthday|Nobody remembers]," {he} thought, and {he} walked slowly
  home.

  The house was dark, but when {name} opened the door, {friend} and {elder} [jumped out|were there].
  "Surprise!" they [cried|shouted]. There were {color} balloons, a big cake, and a new {toy}. [{name}
  laughed and hugged everyone.|{name} was so happy that {he} could not speak.|] [They sang and danced
  until night.|They ate the cake and played all day.|It was the best birthday of all.]

skill: ride a bike | swim | whistle | skate | bake bread | fly a kite | tie a bow | row a boat
fail with skill: fell into the grass | swallowed some water | blew and blew, but no sound came out
  | slipped and sat down on the ice | burned the bread until it was black | saw the kite fall into a bush
  | made a big knot | went around and around in circles
tip with skill: Look ahead and keep going | Kick your feet and breathe slowly
  | Make your lips round and blow softly | Bend your knees and take small steps
  | Be patient and watch the oven | Wait for the wind and then run
  | Make two ears and cross them like a rabbit | Pull with both arms at the same time
success with skill: rode all the way down the road | swam across the whole pond | whistled a happy tune
  | skated around the whole pond | baked a warm, golden bread | saw the kite fly up to the clouds
  | tied a neat little bow | rowed straight across the lake

plot learning a skill:
  {opening} [More than anything, {he} wanted to learn to {skill}.|{friend} could {skill}, and {name}
  wanted to learn it, too.]

  <Day>, {name} tried it for the first time, but {he} {fail}. ["It is too hard," {he} said.|"I will never
  learn it," {he} said.|]

  "[Do not give up|Try again]," said [{his} friend|] {friend}. "{tip}."

  So {name} practiced [every day after breakfast|every day before dinner|all week]. [Each time, it went a
  little better.|Some days were good, and some were not.|] [Then|At last], <day>, {he} {success}!

  "[Look at me|I can do it]!" {he} cried.

  {friend} <smile>. "<proud>!" {friend.he} said. [{name} had learned that you get better when you keep
  trying.|<play-end>]

trail: butterfly | bird | dragonfly | frog | beetle
sign: listen for the river | look for the smoke | look for the tall tower
  | listen for the bells | listen for my song
sign-how with sign: heard the river | saw the smoke | saw the tall tower | heard the bells | heard the song

plot getting lost:
  {opening} "If you ever get lost," {elder} always said, "stop and {sign}."

  <Day>, {name} saw a [pretty|lovely] {color} {trail} in the forest. {He} followed it [over the
  bridge|past the old oak|up the hill] and [under the trees|through the tall grass]. When it was gone,
  everything looked [strange|the same], and {he} did not know the way home.

  {name} was [scared|afraid] and wanted to run, but {he} remembered what {elder} had said. So {he} stood
  still and waited until {he} {sign-how}! {He} went that way, step by step, and there was {elder} at the
  gate.

  "[I was lost|I did not know the way], but I remembered your words," said {name}.

  "[You were very clever|I am so glad you are home]," said {elder}, and [hugged {him} tight|gave {him}
  some warm milk]. [<home-end>|]

plant: sunflower | pumpkin | rose | tomato plant | bean plant | apple tree
grown with plant: a big yellow flower that looked like the sun | a pumpkin as big as a chair
  | a red rose that smelled sweet | a bowl of round, red tomatoes | a whole basket of beans
  | one small, sweet apple

plot growing a plant:
  {opening} <Day>, {elder} gave {him} a [tiny|little] seed. "[It will be|This will grow into] a {plant} if
  you take care of it," {elder.he} said.

  {name} put the seed in the ground and gave it some water, but the next day there was nothing to see.
  "[Why does it not grow|Is it asleep]?" {he} asked.

  "[You must be patient|Good things take time]," said {elder}. ["It needs sun, water, and time."|]

  So {name} watered it every day and [sang to it|pulled out the weeds|talked to it]. [After a week|One
  morning], a small green leaf came out of the ground! It grew [and grew|taller and taller|a little every
  day], and at the end of the summer there was {grown}.

  "[We did it|Look what we made]!" said {name}. [{He} gave it to {elder} as a present.|{He} kept one seed
  for the next year.|{name} was glad that {he} had waited.]

trouble: stuck in the mud | caught in a net | stuck in a hole | stuck in a thorn bush
rescue with trouble: put a board on the mud and pulled | opened the knots one by one
  | held down a long branch and pulled | moved the thorns away one by one

plot a friend in need:
  {opening} <Day>, on the way to the {outside}, {he} heard a small voice. "Help! Help!" [it cried|the
  voice called].

  {name} [ran|hurried] to look. It was {friend}, a [little|small] {friend-kind}, and {friend.he} was
  {trouble}!

  "[Please help me|I cannot get out]," said {friend}. "I [am so tired|have been here all night]."

  "<comfort>," said {name}. [{He} was small, but {he} had an idea.|{He} thought hard for a moment.|] {He}
  {rescue}, and [at last|then] {friend} was free!

  "[Thank you, {name}!|How can I thank you?]" said {friend}.

  "[I was glad to help you|Just be my friend]," said {name}. [Some days later, {name} lost {his} {color}
  {toy}, and it was {friend} who found it.|<play-end>|A good deed always comes back.]

shy-place: under a tree | behind the fence | on the steps | at the gate

plot a new friend:
  {opening} <Day>, a {friend-kind} named {friend} moved into the house next door. {friend} [did not know
  anyone|was very shy] and sat alone {shy-place}.

  {name} [saw {friend.him} from the window|wanted to say hello], but {he} felt a little shy, too. "[What
  if {friend.he} does not like me|What should I say]?" {he} asked {elder}.

  "[Just say hello|Take your {toy} and smile]," said {elder}. "[That is how every friendship begins.|That
  is all you need.]"

  So {name} took {his} {color} {toy} and went outside. "Hello, I am {name}," {he} said. "Do you want to
  play with my {toy}?"

  {friend} looked up and <smile>. "Yes, please!" {friend.he} said. [They both loved to {hobby}, too.|]
  <play-end>

treasure: cup | vase | plate | lamp | clock | bowl

plot telling the truth:
  {opening} {Elder} had a [beautiful|pretty|very old] {color} {treasure} on the shelf. [{Elder.he} always
  said, "Please do not play near it."|{name} had promised to be careful with it.]

  But <day>, {name} played with a {toy} in the house. It [flew up|rolled away] and hit the {treasure}, and
  the {treasure} [fell down|fell on the floor] and broke. "I could hide it, and [nobody would know|{elder}
  would never know]," {name} thought, but that did not feel right.

  When {elder} came home, {name} said, "I broke your {treasure}, and I am very sorry."

  {Elder} was [quiet for a moment|a little sad]. Then {elder.he} said, "[I am glad that you told me the
  truth|It is hard to tell the truth, and you did]. You are more [important|dear] to me than a
  {treasure}."

  [They cleaned up together, and {name} felt much better.|{name} hugged {elder.him} and helped {elder.him}
  clean up.|Together they glued the {treasure}, and it stood on the shelf again.] [It is always better to
  tell the truth.|The truth had made {his} heart light.|]

noise: tap, tap, tap | squeak, squeak | whoo, whoo | bump, bump, bump | scratch, scratch
maker with noise: branch that tapped on the window | tiny mouse with a piece of cheese
  | baby owl that had lost its mother | {color} ball that rolled down the stairs
  | wet little cat that wanted to come in
calm with noise: {He} tied the branch back | {He} gave the mouse some bread
  | {He} put the owl back in its tree | {He} put the ball back in its box
  | {He} dried the cat with a soft towel

plot a noise in the night:
  {opening} One [dark|windy|cold|quiet] night, {name} woke up. "{Noise}," it went [in the hall|by the
  door|in the dark].

  {He} pulled the blanket up to {his} nose. "Is it a monster?" {he} [whispered|thought].

  It went on and on, so {name} could not sleep. [{He} took {his} {color} {toy} in one hand and a lamp in
  the other.|{He} took a lamp and called {elder}.|"I want to know what it is," {he} said, and {he} took a
  lamp.] Slowly, slowly, {he} went to look. It was only a {maker}!

  {name} laughed. "[You are not a monster at all|And I was afraid of you]!" {he} said. {calm} and went
  back to bed. [Things are not so scary when you look at them closely.|In the morning, {he} told {elder}
  all about it, and they laughed together.|]

rain-game: built a house of blankets | made a boat from a big box | put on a show with {his} {toy}
  | baked cookies with {elder} | drew a map of a secret island
rain-game-ask with rain-game: build a house of blankets | make a boat from a big box
  | put on a show with your {toy} | bake cookies with {elder} | draw a map of a secret island

plot a rainy day:
  {opening} <Day>, {he} wanted to play outside with {friend}, but [dark clouds came and it began to
  rain|it rained and rained].

  "[The rain has spoiled our day|Now we cannot play]," said {name}, and {he} <mope>.

  "[I have an idea|Wait]!" said {friend}. "[We can|Let us] {rain-game-ask}."

  So they {rain-game}. [It was so much fun that they forgot the rain.|They laughed so hard that {elder}
  came to look.|{name} wanted to do it again and again.] When they looked out again, the sun was shining,
  and there was a rainbow over the {outside}.

  "[Do you want to go out now?|Look, the rain has stopped!]" said {friend}.

  "[Not yet|Soon]," said {name}, "[but first I want to finish our game|because this is too much fun]." [A
  rainy day can be a good day, too.|They both laughed.|It was the best rainy day of all.]

plot the race:
  {opening} <Day>, there was a race [in the {outside}|to the old oak and back|around the lake]. The prize
  was a {color} {toy}, and {name} wanted to win it. So did {friend}, a <trait> {friend-kind}.

  "Ready, set, go!" called {elder}. {name} ran [very fast|as fast as the wind], and {he} was in front when
  {he} heard a cry. {friend} had [fallen|slipped] and hurt one leg.

  {name} [wanted to win|was so close to the end], but {he} stopped and went back. "[Can you stand|Are you
  hurt]?" {he} asked.

  "[My leg hurts|I cannot run]," said {friend}, "[but you can still win|but you must go on]."

  "A friend is better than a [prize|{toy}]," said {name}, and they walked to the end together.

  They were the last, but everyone clapped, and {elder} gave the {toy} to both of them. [<play-end>|]
)";

}  // namespace chapbook
