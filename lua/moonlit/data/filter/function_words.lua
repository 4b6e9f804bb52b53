--- The words that hold sentences together, by language: a text of some length is full of those of
--- its own. Only languages that share their script with others need them.
local lists = {
  en = [[the of and to a in is that it was for on with as be by at this are from or not have but an
    which you they his her were their has been there we can will would all if when what]],
  de = [[der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es
    an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über so zum
    oder]],
  fr = [[le la les de des et à un une du en est que qui dans pour pas sur au par il plus ne avec
    se ce sont cette ou son vous mais comme être aux nous ont été peut leur sans elle]],
  es = [[el la de que y en los del se las por un para con no una su al es lo como más pero sus le
    ya o este sí porque esta entre cuando muy sin sobre también me hasta hay donde está ha
    puede]],
  it = [[il di che e la in un a per è non una sono con del si da dei le al della più ma come
    anche lo alla nel delle questo ha gli o i nella essere se dal sul tra ai stato può]],
  pt = [[o a de que e do da em um para com não uma os no se na por mais as dos como mas ao ele das
    à seu sua ou quando muito nos já está também só pelo pela até isso foi são pode]],
  nl = [[de het een van en in is dat op te zijn met voor niet aan er om ook als bij door maar naar
    uit of wordt over deze was kan dit nog worden tot hebben heeft meer wel geen moet]],
  sv = [[och att det i en som är på för med av den till inte har de ett om var men sig från vi
    så kan när eller man nu också hade efter där vid under ska skulle blev alla detta ej]],
  da = [[og at det i en er på til af den med for der som ikke de et har han om var men sig fra vi
    så kan når eller nu også havde efter ved under skal blev alle dette være ud kun hvis
    af op ind meget hvad mig dig uden noget nogle mellem bliver]],
  no = [[og i det på som er en til å for av at med den har ikke de et om var men seg fra vi så
    kan når eller nå også hadde etter ved under skal ble alle dette være ut bare hvis hva
    opp inn mye deg uten noe noen mellom blir frå]],
  fi = [[ja on ei että se oli hän ole kun niin mutta tai myös joka ovat kuin voi sen jos olla
    mukaan vain jo sitä mikä siitä ovat voidaan tämä tämän käyttää ne eivät sekä
    kanssa ollut]],
  pl = [[i w na z nie do się że to jest o jak po od za co ale przez dla jego są tym tak czy lub
    było który może ich tego być które oraz tylko przy już ze jej można gdy]],
  cs = [[a se v na je že s z do o to i ve jako pro by za od po co které který jsou byl nebo ale
    při tak jeho však není může být pouze tento podle byla jen aby musí pokud už]],
  sk = [[a sa v na je že s z do o to i vo ako pre by za od po čo ktoré ktorý sú bol alebo ale
    pri tak jeho však nie môže byť iba tento podľa bola len aby musí ak už]],
  hu = [[a az és hogy nem is egy ez meg csak volt de ha vagy el mint már még ki van azt fel
    után ami kell lesz nincs minden be majd ezt lehet között aki pedig illetve szerint ezek]],
  tr = [[ve bir bu için da de ile olarak olan çok gibi daha ne en sonra kadar ya ki o değil var
    her olduğu veya ama mi tarafından göre ise yok içinde büyük bunu böyle]],
  ro = [[de și în la a cu pe nu din este să care un o că pentru se mai ce sau prin fi au fost
    sunt dar după ale al până fără această acest poate lui sa ei când fiind cel]],
  ca = [[de la i el que a en els les un per amb una del no es és al dels són com més o però si
    ha aquest aquesta seva també pot entre quan fins sobre ser va on això hi molt]],
  id = [[yang dan di dengan untuk pada tidak ini dari dalam akan itu adalah ke oleh juga atau dapat
    bisa ada tersebut sebagai telah lebih seperti saat mereka hanya bahwa karena anda kami]],
  vi = [[và của là có không được cho một trong các với những người này để
    đã khi từ đến về như cũng nhiều tại trên vào ra phải hay bạn nếu
    bị sẽ thì]],
  ru = [[и в не на что с по как это к из он но за то от для о
    было его у так же бы все или быть при до только
    если она был они мы был может были чтобы когда]],
  uk = [[і в не на що з та до у як для це за від але його про
    він по або при бути так є можна якщо ще щоб було
    може й після також лише буде цей був чи які]],
  bg = [[и на да не в за се от е са с по това като че при до
    или а ще но му бъде може само той след която който
    които има си бе тази този така ако към може]],
  sr = [[и у на је да се за са од не су као који из до или то
    што али по би које која само може ако при бити
    није овај ова ће био након због како када]],
  ar = [[في من على إلى أن هذا التي عن مع هذه لا ما كان الذي
    أو هو كل بعد قد لم بين وقد كما تم إذا غير ذلك حتى هي
    عند يمكن و به أي ثم]],
  fa = [[و در به از که این را با است برای آن یک شود می تا بر
    هم یا خود نیز دارد ها شده اما باید کرد کند بود هر
    اگر پس همه نمی]],
  ur = [[کے کی میں ہے کا اور سے کو نے پر یہ ہیں کہ اس ایک بھی
    تھا کر ہو نہیں لیے وہ گیا تو ان جو ہوا تھے کیا ساتھ
    تک یا اپنے]],
  hi = [[के में है की और से का को यह पर कि हैं
    एक ने लिए भी था नहीं इस जो ही तो कर
    हो या वह गया साथ तक अपने बाद जा सकता
    करने]],
  mr = [[आणि आहे या च्या आहेत मध्ये हे ही ते
    होते तर किंवा असे एक केले होता
    त्या साठी हा नाही पण की व म्हणून जे
    काही झाले करून]],
}

local words = {} -- word -> languages, in alphabetical order
local names = {}
for name in pairs(lists) do names[#names + 1] = name end
table.sort(names)
for _, name in ipairs(names) do
  for word in lists[name]:gmatch "%S+" do
    local of = words[word] or {}
    words[word] = of
    -- single letters are bullets and variables too
    if of[#of] ~= name and #word > 1 then of[#of + 1] = name end
  end
end

return words
